import { RivuletError } from '../../lib/contract/errors.js'

type Config = Readonly<Record<string, unknown>>

/** The names of the context length in `config.json`: most models', GPT-2's, MPT's, ChatGLM's and others'. */
const names = [
  'max_position_embeddings',
  'n_positions',
  'n_ctx',
  'max_seq_len',
  'max_seq_length',
  'max_sequence_length',
  'seq_length',
  'seq_len',
  'context_length',
]

/** The length for a model that declares none, in tokens: what BLOOM and other models without positions were trained with. */
const undeclaredLength = 2048
/** transformers writes 1e30 for a tokenizer without a limit. No model has a context this long. */
const maxTokenizerLength = 2 ** 24

/**
 * Returns the maximum length of prompt and answer together, in tokens: the option `contextLength`, or the length in
 * `configs`, or `model_max_length` of `tokenizer_config.json`, or 2,048.
 * @param configs the objects that can contain it, the most specific first
 * @throws RivuletError `model-invalid` for an invalid length; `invalid-option` if `contextLength` exceeds the model's length
 */
export function readContextLength(
  configs: readonly Config[],
  tokenizerConfig: Config,
  contextLength: number | undefined,
): number {
  const declared = findDeclared(configs)
  if (contextLength === undefined) return declared ?? readTokenizerLength(tokenizerConfig) ?? undeclaredLength
  if (declared === undefined || contextLength <= declared) return contextLength
  throw new RivuletError(
    'invalid-option',
    `onnx({ contextLength }) is ${contextLength}, but this model's context has ${declared} tokens. Use a smaller value.`,
    { details: { option: 'contextLength' } },
  )
}

function findDeclared(configs: readonly Config[]): number | undefined {
  for (const config of configs) {
    const name = names.find((candidate) => config[candidate] !== undefined && config[candidate] !== null)
    if (name === undefined) continue
    const length = config[name]
    if (isLength(length)) return length
    throw new RivuletError('model-invalid', `config.json is invalid: ${name} must be an integer above 1.`)
  }
  return undefined
}

function readTokenizerLength({ model_max_length: length }: Config): number | undefined {
  return isLength(length) && length <= maxTokenizerLength ? length : undefined
}

function isLength(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 1
}
