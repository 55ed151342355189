import { RivuletError } from '../../lib/contract/errors.js'
import type { OptionName } from '../../lib/contract/option-table.js'
import type { RequestOptions } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'

/**
 * Passes an answer on, and ends it with an error where it shows that the server ignored an option: a tool call was required
 * and did not come, more calls came than allowed, or the model reasons although its reasoning was turned off.
 * @throws RivuletError `generation-failed`
 */
export async function* checkDemands(
  { toolChoice, parallelToolCalls, reasoning }: RequestOptions,
  answer: AsyncGenerator<GenerationStep, AnswerEnd, undefined>,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  let calls = 0
  try {
    for (;;) {
      const { done, value } = await answer.next()
      if (done) {
        const isRequired = toolChoice === 'required' || typeof toolChoice === 'object'
        if (isRequired && calls === 0 && value === 'stop') throw createIgnoredError('toolChoice')
        return value
      }
      if (value.kind === 'chunk') {
        calls = Math.max(calls, ...(value.toolCalls ?? []).map(({ index }) => index + 1))
        if (parallelToolCalls === false && calls > 1) throw createIgnoredError('parallelToolCalls')
        // An empty thought is how some templates turn reasoning off.
        if (reasoning === 'off' && (value.reasoning ?? '').trim() !== '')
          throw createIgnoredError('reasoning')
      }
      yield value
    }
  } finally {
    await answer.return('stop')
  }
}

function createIgnoredError(option: OptionName): RivuletError {
  return new RivuletError(
    'generation-failed',
    `The server ignored "${option}". Leave it out, or use a server or a model that supports it.`,
  )
}
