/**
 * The URL of this module after bundling. This module and onnxruntime-web are both imported dynamically. So if a bundler
 * merges this module into the worker's script, it also merges onnxruntime-web into that script.
 */
export const moduleAddress = import.meta.url
