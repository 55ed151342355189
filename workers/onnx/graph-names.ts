/*
 * The names of a decoder graph's inputs and outputs. Hugging Face Optimum, onnxruntime-genai's model builder and
 * transformers.js use the same ones. No other file spells them out.
 */

/** The inputs of a decoder graph, except those of the KV cache. */
export const graphInputs = {
  /** int64, [batch, length] */
  tokenIds: 'input_ids',
  /** int64, [batch, total length]: 1 for each token of the sequence. */
  attentionMask: 'attention_mask',
  /** int64, [batch, length]; or [rows, batch, length], where each row has the positions of one dimension of an image */
  positionIds: 'position_ids',
  /** int64, scalar: how many of the last positions get logits. */
  logitsToKeep: 'num_logits_to_keep',
  /** int32, [batch, 1]: the index of the last token. A rewritten graph has it in place of the attention mask. */
  lastIndex: 'seqlens_k',
  /**
   * int32, [1]: the number of tokens including the new ones. A rewritten graph has it in place of the attention mask.
   */
  totalLength: 'total_sequence_length',
} as const

/** The output with the logits: float32 or float16, [batch, length, vocabulary]. */
export const logitsOutput = 'logits'

/** Which tensor of the KV cache an input or output is. */
export interface CacheTensorName {
  readonly layer: number
  readonly part: 'key' | 'value'
}

/** How the inputs of the KV cache are named, for messages. */
export const pastNamePattern = 'past_key_values.N.key'

/** @returns undefined for a name that is not an input of the KV cache */
export function parsePastName(name: string): CacheTensorName | undefined {
  const match = /^past_key_values\.(\d+)\.(key|value)$/.exec(name)
  return match ? { layer: Number(match[1]), part: match[2] === 'key' ? 'key' : 'value' } : undefined
}

/** The output that becomes the input of the same layer and part in the next step. */
export function formatPresentName({ layer, part }: CacheTensorName): string {
  return `present.${layer}.${part}`
}

/** In exports for transformers.js `past_conv.N`, from onnxruntime-genai's model builder `past.N.conv`. */
const stateNamePattern = /^past(?=_(?:conv|recurrent|ssm)\.\d+$|\.\d+\.(?:conv|recurrent|ssm)$)/

/**
 * The output that becomes the input `pastName` in the next step, if that is a state of fixed size: of a convolution, or of
 * recurrent or linear attention (LFM2, Qwen3.5).
 * @returns undefined for a name that is not such an input
 */
export function formatPresentStateName(pastName: string): string | undefined {
  return stateNamePattern.test(pastName) ? pastName.replace(stateNamePattern, 'present') : undefined
}
