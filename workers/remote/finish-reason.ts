import { RivuletError } from '../../lib/contract/errors.js'
import type { AnswerEnd } from '../../lib/contract/worker-api.js'

/** The finish reasons of servers that this library knows, in lower case, by the end that they mean. All others are failures. */
const knownReasons: Readonly<Record<AnswerEnd, readonly string[]>> = {
  stop: ['stop', 'eos', 'eos_token', 'end_turn', 'stop_sequence', 'complete', 'completed', 'end'],
  length: [
    'length',
    'max_tokens',
    'max_length',
    'max_output_tokens',
    'model_length',
    'model_context_window_exceeded',
  ],
  'tool-calls': ['tool_calls', 'tool_call', 'tool_use', 'function_call'],
  'content-filter': [
    'content_filter',
    'content_filtered',
    'guardrail_intervened',
    'prohibited_content',
    'refusal',
    'safety',
    'sensitive',
  ],
}

/** Returns what a server's finish reason means; undefined for `abort`, `error` and unknown ones: the answer is not complete. */
export function readAnswerEnd(finishReason: string): AnswerEnd | undefined {
  const known = Object.keys(knownReasons) as AnswerEnd[]
  return known.find((end) => knownReasons[end].includes(finishReason.toLowerCase()))
}

/** Returns the error for an answer that a server ended for a reason that is not a natural end. */
export function createAbortedError(finishReason: string): RivuletError {
  return new RivuletError(
    'generation-failed',
    `The server ended the answer with the finish reason "${finishReason}", so the answer is not complete. Retry.`,
  )
}
