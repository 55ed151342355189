/**
 * The URL of this module after bundling. Both this module and onnxruntime-web are imported dynamically, so if a bundler
 * merges this one into the worker's script, it does the same with onnxruntime-web.
 */
export const moduleAddress = import.meta.url
