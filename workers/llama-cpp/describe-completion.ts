import type { GenerateRequest } from '../../lib/contract/request.js'
import { toOpenAiBody, type Fields, type OptionWriters } from '../openai-body.js'

const nothing = () => ({})

/**
 * How llama.cpp's server writes the options. It uses its own default for a missing field. Stop strings are not sent: they are
 * matched in this worker, which holds back text that could become a stop string. The options that the prompt and the grammar
 * hold are not sent either.
 */
const writers = {
  maxTokens: nothing,
  repetitionPenalty: 'repeat_penalty',
  // With 0, llama.cpp reports no log-probability at all, not even the chosen token's.
  topLogprobs: (count) => ({ n_probs: Math.max(1, count) }),
  stop: nothing,
  templateVariables: nothing,
  responseFormat: nothing,
  tools: nothing,
  toolChoice: nothing,
  parallelToolCalls: nothing,
  reasoning: nothing,
} as const satisfies OptionWriters

/** Returns the fields of all completions of an answer. */
export function describeCompletion(request: GenerateRequest): Fields {
  return { ...toOpenAiBody(request, writers), timings_per_token: true }
}
