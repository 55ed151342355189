/*
 * The names of the inputs and outputs of a decoder graph. Hugging Face Optimum, onnxruntime-genai's model builder and
 * transformers.js use the same names. No other file spells them out.
 */

/** The inputs of a decoder graph, except those of the KV cache. */
export const graphInputs = {
  /** int64, [batch, length]: the ids of the new tokens. */
  tokenIds: 'input_ids',
  /** int64, [batch, total length]: 1 for each token of the sequence. */
  attentionMask: 'attention_mask',
  /**
   * int64, [batch, length] or [rows, batch, length]: the positions of the new tokens. Each row has the positions in one
   * dimension of an image.
   */
  positionIds: 'position_ids',
  /** int64, scalar: the number of positions, counted from the end, for which the graph returns logits. */
  logitsToKeep: 'num_logits_to_keep',
  /** int32, [batch, 1]: the index of the last token. A rewritten graph has this input instead of the attention mask. */
  lastIndex: 'seqlens_k',
  /**
   * int32, [1]: the number of tokens, including the new tokens. A rewritten graph has this input instead of the attention
   * mask.
   */
  totalLength: 'total_sequence_length',
} as const

/**
 * float32 or float16, [batch, length, hidden size]: the embeddings of the new tokens. The decoder of a split model has this
 * input, which the graph `embed_tokens` computes from the token ids.
 */
export const embeddingsInput = 'inputs_embeds'

/** The output with the logits: float32 or float16, [batch, length, vocabulary]. */
export const logitsOutput = 'logits'

/** Identifies the tensor of the KV cache that an input or output contains. */
export interface CacheTensorName {
  readonly layer: number
  /** `key_value`: the keys and values of a layer are in one tensor. */
  readonly part: 'key' | 'value' | 'key_value'
}

/** The name pattern for the inputs of the KV cache, shown in error messages. */
export const pastNamePattern = 'past_key_values.N.key'

/** The name patterns for all states, shown in error messages. */
export const stateNamePatterns =
  'past_key_values.N.key and .value, past_key_values.N.key_value, past_conv.N, past_recurrent.N, past_ssm.N'

/**
 * Reads the layer and the part from the name of an input of the KV cache.
 * @returns undefined for any other name
 */
export function parsePastName(name: string): CacheTensorName | undefined {
  const match = /^past_key_values\.(\d+)\.(key|value|key_value)$/.exec(name)
  // Cast: the pattern allows only these parts.
  return match ? { layer: Number(match[1]), part: match[2] as CacheTensorName['part'] } : undefined
}

/** Returns the name of the output that becomes the input of the same layer and part in the next step. */
export function formatPresentName({ layer, part }: CacheTensorName): string {
  return `present.${layer}.${part}`
}

/** Matches state inputs: `past_conv.N` in exports for transformers.js, `past.N.conv` in onnxruntime-genai's exports. */
const stateNamePattern = /^past(?=_(?:conv|recurrent|ssm)\.\d+$|\.\d+\.(?:conv|recurrent|ssm)$)/

/**
 * Returns the name of the output that becomes the input `pastName` in the next step, if this input is a state of fixed
 * size: the state of a convolution, or of recurrent or linear attention (LFM2, Qwen3.5).
 * @returns undefined for any other name
 */
export function formatPresentStateName(pastName: string): string | undefined {
  return stateNamePattern.test(pastName) ? pastName.replace(stateNamePattern, 'present') : undefined
}

const rotaryTablePattern = /^rivulet\.rotary\.\d+$/

/** Returns the name of an input that a rewritten graph has for a table of rotary factors. */
export function formatRotaryTableName(index: number): string {
  return `rivulet.rotary.${index}`
}

/** True for the name of an input for a table of rotary factors. */
export function isRotaryTableName(name: string): boolean {
  return rotaryTablePattern.test(name)
}
