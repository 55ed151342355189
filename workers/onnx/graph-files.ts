import type { OnnxDtype } from '../../lib/contract/onnx-options.js'

/**
 * The graphs that a model folder can contain, by their names in transformers.js (`src/models/session_config.js`). A model
 * is one graph (`model`), or it is split into several graphs.
 */
export type GraphName =
  /** Token ids → logits. */
  | 'model'
  /** Token ids → embeddings. */
  | 'embed_tokens'
  /** Embeddings → logits. */
  | 'decoder_model_merged'
  | EncoderName

/** The graphs that turn an image or audio into embeddings. `onnx()` takes only text, so it does not load them. */
export type EncoderName = (typeof encoderNames)[number]
export const encoderNames = ['vision_encoder', 'audio_encoder'] as const

/** The end of a graph file's name for each dtype, as in transformers.js. */
const suffixes = {
  q4f16: '_q4f16',
  q4: '_q4',
  fp16: '_fp16',
  q8: '_quantized',
  fp32: '',
} satisfies Record<OnnxDtype, string>

/** Returns the path of a graph file in a model folder. */
export function nameGraphFile(graph: GraphName, dtype: OnnxDtype): string {
  return `onnx/${graph}${suffixes[dtype]}.onnx`
}

/** All dtypes, the least precise first. */
const byPrecision: readonly OnnxDtype[] = ['q4f16', 'q4', 'q8', 'fp16', 'fp32']

/**
 * Lists the dtypes to try for the graph `embed_tokens` of a decoder with this dtype, best first. Many folders do not have
 * all dtypes for both graphs. The order: the same dtype, then the more precise ones (the smallest file first), then the less
 * precise ones.
 */
export function listEmbeddingDtypes(decoder: OnnxDtype): readonly OnnxDtype[] {
  const index = byPrecision.indexOf(decoder)
  return [...byPrecision.slice(index), ...byPrecision.slice(0, index).toReversed()]
}
