import type { OnnxDtype } from '../../lib/contract/onnx-options.js'

/** The end of the file name for each dtype, as in transformers.js (`DEFAULT_DTYPE_SUFFIX_MAPPING`) and onnx-community. */
const suffixes = {
  q4f16: '_q4f16',
  q4: '_q4',
  fp16: '_fp16',
  q8: '_quantized',
  fp32: '',
} satisfies Record<OnnxDtype, string>

/**
 * Returns the path of the graph file of a dtype.
 * @param base the name of the graph: a model can consist of several
 */
export function nameGraphFile(dtype: OnnxDtype, base = 'model'): string {
  return `onnx/${base}${suffixes[dtype]}.onnx`
}
