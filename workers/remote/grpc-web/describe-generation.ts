import type { MessageInitShape } from '@bufbuild/protobuf'
import { refuse } from '../../../lib/contract/check-options.js'
import { RivuletError } from '../../../lib/contract/errors.js'
import type { GenerateRequest, RequestFormat } from '../../../lib/contract/request.js'
import type { ModelConfig } from '../../onnx/model-config.js'
import { banCalls, type PreparedAnswer } from '../../onnx/prepare-answer.js'
import type { GenerateRequestSchema, SamplingParamsSchema } from './vllm_engine_pb.js'

/** The most log-probabilities that vLLM's servers report for a token by default (`max_logprobs`). */
const maxLogprobs = 20

/**
 * Refuses what the service cannot do.
 * @throws RivuletError `invalid-option`; `connection-failed` for a lost answer that has a form, which cannot be continued
 */
export function checkRequest({ input, options, resume }: GenerateRequest, { start }: PreparedAnswer): void {
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
  if (input.kind === 'chat' && input.assistantPrefix !== '') {
    refuse(
      'vLLM\'s gRPC service cannot continue a message in a form. Leave "continueFinalMessage" or "responseFormat" out.',
      'continueFinalMessage',
    )
  }
  if (resume) {
    throw new RivuletError(
      'connection-failed',
      "The answer was lost, and vLLM's gRPC service cannot continue it in a form. Retry.",
    )
  }
  const { isInThought, canThink, family } = start.place
  if (isInThought || (canThink && family.kind === 'marked' && family.thought)) {
    refuse(
      `vLLM's gRPC service holds a form from the first token, and this model thinks first. Set "reasoning" to 'off'.`,
      'responseFormat',
    )
  }
}

/** Returns the form as vLLM holds it. Its engine for forms reads the schema, the pattern or the grammar itself. */
function writeForm(
  format: RequestFormat,
): NonNullable<MessageInitShape<typeof SamplingParamsSchema>['constraint']> {
  switch (format.kind) {
    case 'json':
      return { case: 'jsonObject', value: true }
    case 'json-schema':
      return { case: 'jsonSchema', value: JSON.stringify(format.schema) }
    case 'regex':
      return { case: 'regex', value: format.pattern }
    case 'grammar':
      return { case: 'grammar', value: format.grammar }
  }
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
    ...(options.responseFormat && { constraint: writeForm(options.responseFormat) }),
  }
  return {
    requestId: `rivulet-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`,
    input: { case: 'tokenized', value: { inputIds: [...ids] } },
    samplingParams,
    stream: true,
  }
}
