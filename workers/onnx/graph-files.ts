import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'

/** The end of the file name for each dtype, as in transformers.js (`DEFAULT_DTYPE_SUFFIX_MAPPING`) and onnx-community. */
const suffixes = {
  q4f16: '_q4f16',
  q4: '_q4',
  fp16: '_fp16',
  q8: '_quantized',
  fp32: '',
  int8: '_int8',
  uint8: '_uint8',
  bnb4: '_bnb4',
  q2f16: '_q2f16',
  q2: '_q2',
  q1f16: '_q1f16',
  q1: '_q1',
} satisfies Record<OnnxDtype, string>

/**
 * Returns the path of the graph file of a dtype.
 * @param base the name of the graph: a model can consist of several
 */
export function nameGraphFile(dtype: OnnxDtype, base = 'model'): string {
  return `onnx/${base}${suffixes[dtype]}.onnx`
}

/**
 * Returns the dtype that the author of a model recommends: `transformers.js_config` in `config.json`, as transformers.js reads
 * it for the dtype `auto`. It is a name for all graphs, or one for each graph.
 */
export function readRecommendedDtype(config: Record<string, unknown>, base = 'model'): OnnxDtype | undefined {
  const { dtype } = (config['transformers.js_config'] ?? {}) as { readonly dtype?: unknown }
  const named = typeof dtype === 'object' ? (dtype as Record<string, unknown> | null)?.[base] : dtype
  return onnxDtypes.find((each) => each === named)
}

/** Returns the dtype that a graph file's name ends with; undefined for a name without such an end. */
export function readDtype(graphFile: string): OnnxDtype | undefined {
  return onnxDtypes.find((dtype) => suffixes[dtype] !== '' && graphFile.endsWith(`${suffixes[dtype]}.onnx`))
}
