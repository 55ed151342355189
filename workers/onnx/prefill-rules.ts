import type { ModelProto } from './onnx_pb.js'

/** How a prompt must be computed so that it always gives the same tokens, whatever is in the cache. */
export interface PrefillRules {
  /**
   * Whether a prompt must be computed in one run, and each token after it in its own run: the graph quantizes its
   * activations with one scale for all tokens of a run, so other runs give other results. A cached prefix was computed in
   * another run, so it cannot be reused.
   *
   * One run needs memory for all tokens of the prompt: the logits, if the graph returns those of all positions, and in
   * each layer the attention scores, which grow with the square of the length. A cancel takes effect after it.
   */
  readonly wholePrompt: boolean
}

/**
 * The operators that compute one scale from the whole activation tensor. Optimum's `model_quantized.onnx` has the first one
 * (https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html); the other is ONNX Runtime's fusion of it with the
 * product (ContribOperators.md).
 */
const dynamicQuantizers = new Set(['DynamicQuantizeLinear', 'DynamicQuantizeMatMul'])

/** Reads the rules from the operators of the graph. */
export function readPrefillRules({ graph }: ModelProto): PrefillRules {
  const nodes = graph?.node ?? []
  return { wholePrompt: nodes.some(({ opType }) => dynamicQuantizers.has(opType)) }
}
