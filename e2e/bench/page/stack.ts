import { answerExactly, sequence, withSubjects, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createPrompts } from './prompts.js'
import { createRow } from './rows.js'
import { openBare, openRivulet } from './subjects.js'

/** How a section decodes. Use enough tokens that one late message has little effect. */
export interface Stack extends WorkerRole {
  readonly newTokens: number
}

/** Measures the cost of the transfer from worker to page: tokens/s on the page relative to tokens/s inside the worker. */
export function measureStack({ newTokens, ...role }: Stack): Section {
  return async ({ section, model, rounds, contexts: [context = 64] }) => {
    const setup = { ...role, model }
    return withSubjects([await openRivulet(setup), await openBare(setup)] as const, async ([stack, bare]) => {
      const createPrompt = createPrompts()
      const measureRate = async (subject: typeof stack) => {
        const turn = { prompt: createPrompt(context), maxTokens: newTokens }
        const { msPerToken } = await answerExactly(subject, context, turn)
        return 1000 / msPerToken
      }
      for (const subject of [stack, bare]) await measureRate(subject)
      const rates = { stack: [] as number[], bare: [] as number[] }
      for (const round of sequence(rounds)) {
        rates.stack.push(await measureRate(stack))
        rates.bare.push(await measureRate(bare))
        console.log(`${section}, ${model.name}: round ${round + 1}`)
      }
      return [
        createRow({
          section,
          model: model.name,
          context,
          quantity: 'tokens/s',
          unit: '',
          values: rates.stack,
          baseline: { name: bare.name, values: rates.bare },
          bound: { of: 'ratio', kind: 'at least', limit: 0.97 },
        }),
      ]
    })
  }
}
