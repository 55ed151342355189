import type { GenerateRequest, Resume } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'

type Started = Extract<GenerationStep, { kind: 'started' }>

/**
 * Yields the steps of an answer that is generated again from its start, without the chunks that its reader already has. They
 * count as a part of the prompt: `prefilling` steps report them, and `started` follows them.
 * @param steps generate the answer after `resume.handedOver`
 * @returns why the answer ended; undefined if it is another answer than `resume.generated`. Then there was no `started` step
 */
export async function* catchUp(
  steps: AsyncGenerator<GenerationStep, AnswerEnd, undefined>,
  { handedOver, generated }: Resume,
  { reportsPrefill }: Pick<GenerateRequest, 'reportsPrefill'>,
): AsyncGenerator<GenerationStep, AnswerEnd | undefined, undefined> {
  const startedAt = performance.now()
  // The raw text has every channel. The calls of an answer follow from it.
  const known = generated.raw ?? generated.text
  let raw = ''
  let tokens = 0
  let started: Started | undefined
  try {
    for (;;) {
      const { done, value: step } = await steps.next()
      if (done) return undefined
      if (step.kind === 'started') started = step
      if (step.kind === 'prefilling') yield { ...step, totalTokens: step.totalTokens + generated.tokens }
      if (step.kind !== 'chunk' || !started) continue
      raw += step.raw ?? step.text
      tokens += step.tokenCount
      if (!known.startsWith(raw) || tokens > generated.tokens) return undefined
      if (raw === known && tokens === generated.tokens) {
        yield { ...started, prefillMs: performance.now() - startedAt }
        return yield* steps
      }
      if (!reportsPrefill) continue
      const promptTokens = (started.promptTokens ?? 0) + handedOver.tokens
      yield {
        kind: 'prefilling',
        computedTokens: promptTokens + tokens,
        totalTokens: promptTokens + generated.tokens,
      }
    }
  } finally {
    // Frees the runtime if the answer is another one, or its reader has left.
    await steps.return('stop')
  }
}
