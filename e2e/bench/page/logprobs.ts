import { answerExactly, describePlan, sequence, withSubjects, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createPrompts } from './prompts.js'
import { createRow } from './rows.js'
import { openRivulet } from './subjects.js'

/** Compares steps with log-probabilities of five tokens to steps without any. */
export function measureLogprobs({
  newTokens,
  ...role
}: WorkerRole & { readonly newTokens: number }): Section {
  return async (plan) => {
    const {
      model,
      rounds,
      contexts: [context = 64],
    } = plan
    const subjects = [await openRivulet({ ...role, model })] as const
    return withSubjects(subjects, async ([subject]) => {
      const createPrompt = createPrompts()
      const ask = async (options: { readonly topLogprobs?: number }) => {
        const turn = { prompt: createPrompt(context), maxTokens: newTokens, ...options }
        const before = await subject.readCounts()
        const { msPerToken } = await answerExactly(subject, context, turn)
        const { bytesReadBack } = await subject.readCounts()
        return { msPerToken, bytes: (bytesReadBack - before.bytesReadBack) / newTokens }
      }
      const plain: number[] = []
      const ranked: number[] = []
      const bytes: number[] = []
      await ask({})
      await ask({ topLogprobs: 5 })
      for (const round of sequence(rounds)) {
        plain.push((await ask({})).msPerToken)
        const answer = await ask({ topLogprobs: 5 })
        ranked.push(answer.msPerToken)
        bytes.push(answer.bytes)
        console.log(`${plan.section}, ${model.name}: round ${round + 1}`)
      }
      const describe = { ...describePlan(plan), context }
      return [
        createRow({
          ...describe,
          quantity: 'time per token with five log-probabilities',
          unit: 'ms',
          values: ranked,
          baseline: { name: 'without', values: plain },
          bound: { of: 'ratio', kind: 'at most', limit: 1.3 },
        }),
        createRow({
          ...describe,
          quantity: 'bytes read back per token with five log-probabilities',
          unit: '',
          values: bytes,
          bound: { of: 'value', kind: 'at most', limit: 176 },
        }),
      ]
    })
  }
}
