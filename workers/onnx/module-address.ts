/**
 * Where this module is, as its bundler has it. It is imported as onnxruntime-web is, on demand: where one has become a part
 * of the worker's own script, so has the other.
 */
export const moduleAddress = import.meta.url
