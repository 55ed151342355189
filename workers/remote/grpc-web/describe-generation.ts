import type { MessageInitShape } from '@bufbuild/protobuf'
import { refuse } from '../../../lib/contract/check-options.js'
import { RivuletError } from '../../../lib/contract/errors.js'
import type { GenerateRequest } from '../../../lib/contract/request.js'
import type { ModelConfig } from '../../onnx/model-config.js'
import { banCalls, type PreparedAnswer } from '../../onnx/prepare-answer.js'
import { describeFormat } from '../../text/grammar/describe-format.js'
import type { Tokenizer } from '../../text/tokenizer.js'
import type { GenerateRequestSchema, SamplingParamsSchema } from './vllm_engine_pb.js'

/** The most log-probabilities that vLLM's servers report for a token by default (`max_logprobs`). */
const maxLogprobs = 20

/**
 * Refuses what the service cannot do.
 * @throws RivuletError `invalid-option`
 */
export function checkRequest({ options }: GenerateRequest, { start }: PreparedAnswer): void {
  const { toolChoice, responseFormat, topLogprobs = 0, tools } = options
  if (toolChoice === 'required' || typeof toolChoice === 'object') {
    refuse(`vLLM's gRPC service cannot require a tool call. Use "toolChoice" 'auto' or 'none'.`, 'toolChoice')
  }
  // One more is requested, because the chosen token takes the place of one.
  if (topLogprobs >= maxLogprobs) {
    refuse(
      `vLLM's gRPC service reports at most ${maxLogprobs - 1} of "topLogprobs" with the chosen token.`,
      'topLogprobs',
    )
  }
  if (!responseFormat) return
  if (tools)
    refuse("vLLM's gRPC service holds no form beside tools. Leave one of them out.", 'responseFormat')
  const { isInThought, canThink, family } = start.place
  if (isInThought || (canThink && family.kind === 'marked' && family.thought)) {
    refuse(
      `vLLM's gRPC service holds a form from the first token, and this model thinks first. Set "reasoning" to 'off'.`,
      'responseFormat',
    )
  }
}

/**
 * Returns the grammar of the form of an answer, from where the answer is. Most apps need no form, so the code is loaded on
 * demand. vLLM's `json_schema` would start again in the middle of an answer.
 * @param ids the prompt with the answer so far
 * @throws RivuletError `invalid-option` if the form cannot be held, or does not fit the message to continue;
 *   `generation-failed` if the answer so far does not fit it
 */
export async function writeFormGrammar(
  request: GenerateRequest,
  tokenizer: Pick<Tokenizer, 'decode'>,
  promptIds: readonly number[],
  ids: readonly number[],
): Promise<string | undefined> {
  const { input, resume, options } = request
  if (!options.responseFormat) return undefined
  const { createFormCompiler } = await import('../../text/gbnf/compile-form.js')
  const before = (input.kind === 'chat' ? input.assistantPrefix : '') + (resume?.handedOver.text ?? '')
  // With what the reader holds back.
  const generated = tokenizer.decode(ids).slice(tokenizer.decode(promptIds).length)
  const form = describeFormat(options.responseFormat)
  const grammar = createFormCompiler()(form, 'responseFormat', before + generated)
  if (grammar !== undefined) return grammar
  if (resume || generated !== '') {
    throw new RivuletError(
      'generation-failed',
      'The answer so far does not have the form of "responseFormat".',
    )
  }
  return refuse(
    'The message to continue does not fit "responseFormat". Correct it, or leave "continueFinalMessage" out.',
    'continueFinalMessage',
  )
}

/**
 * Returns the request for the rest of an answer.
 * @param ids the prompt with the answer so far
 * @param maxTokens how many tokens may follow
 */
export function describeGeneration(
  { sampling: defaults, endIds, ...config }: ModelConfig,
  { options }: GenerateRequest,
  ids: readonly number[],
  maxTokens: number,
  grammar: string | undefined,
): MessageInitShape<typeof GenerateRequestSchema> & { readonly requestId: string } {
  const { logitBias, topLogprobs, seed, ...sampled } = { ...options, ...banCalls(config, options) }
  // The service does not read the model's generation_config.json.
  const { temperature, topK, topP, minP, repetitionPenalty } = { ...defaults, ...sampled }
  const samplingParams: MessageInitShape<typeof SamplingParamsSchema> = {
    temperature,
    topK: Math.min(topK, 2 ** 31 - 1),
    topP,
    minP,
    repetitionPenalty,
    frequencyPenalty: sampled.frequencyPenalty ?? 0,
    presencePenalty: sampled.presencePenalty ?? 0,
    maxTokens,
    stopTokenIds: [...endIds],
    ...(topLogprobs !== undefined && { logprobs: topLogprobs === 0 ? 0 : topLogprobs + 1 }),
    // The service has a signed number, and vLLM refuses a negative one.
    ...(seed !== undefined && { seed: seed % 2 ** 31 }),
    ...(logitBias && { logitBias: { ...logitBias } }),
    ...(grammar !== undefined && { grammar }),
  }
  return {
    requestId: `rivulet-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`,
    input: { case: 'tokenized', value: { inputIds: [...ids] } },
    samplingParams,
    stream: true,
  }
}
