import type { Engine } from 'rivulet'
import { describePlan, sequence, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createPrompts, type CreatePrompt } from './prompts.js'
import { createRow, type Bound } from './rows.js'
import { openEngine, type OpenEngine } from './subjects.js'

/** The numbers of generations at the same time. */
const counts = [1, 2, 4, 8] as const

/** How a section decodes several answers at the same time. */
export interface Together extends WorkerRole {
  readonly newTokens: number
  /** The bounds of the ratio to one generation at a time, by the number of generations. */
  readonly bounds: Partial<Record<number, number>>
}

/**
 * Measures the time per token, over all answers, of several answers at the same time, relative to one at a time; on WebGPU also
 * the dispatches per token. Unlike times, they do not depend on what else the machine computes.
 */
export function measureTogether({ newTokens, bounds, ...role }: Together): Section {
  return async (plan) => {
    const {
      model,
      rounds,
      contexts: [context = 64],
    } = plan
    const opened = await openEngine({ ...role, model, maxConcurrentGenerations: counts.at(-1)! })
    const { engine } = opened
    try {
      const createPrompt = createPrompts()
      const measured = new Map(counts.map((count) => [count, [] as number[]]))
      for (const count of counts) await answerTogether(engine, count, context, createPrompt, newTokens)
      for (const round of sequence(rounds)) {
        for (const count of counts)
          measured.get(count)!.push(await answerTogether(engine, count, context, createPrompt, newTokens))
        console.log(`${plan.section}, ${model.name}: round ${round + 1}`)
      }
      const describeRows = (quantity: string, unit: string, values: ReadonlyMap<number, readonly number[]>) =>
        counts.map((count) => {
          const limit = bounds[count]
          const bound: Bound | undefined =
            limit === undefined ? undefined : { of: 'ratio', kind: 'at most', limit }
          return createRow({
            ...describePlan(plan),
            context,
            quantity: `${quantity}, ${count} at once`,
            unit,
            values: values.get(count)!,
            ...(count > 1 && { baseline: { name: 'one at a time', values: values.get(1)! } }),
            bound,
          })
        })
      const times = describeRows('time per token', 'ms', measured)
      if (role.device === 'wasm') return times
      const dispatches = new Map<number, readonly number[]>()
      for (const count of counts)
        dispatches.set(count, [await countDispatches(opened, count, context, createPrompt, newTokens)])
      return [...times, ...describeRows('dispatches per token', '', dispatches)]
    } finally {
      await engine.dispose()
    }
  }
}

/**
 * Returns the dispatches per token: the difference between long and short answers, per extra token. A prompt that is computed
 * meanwhile keeps the others from starting in step, so this is more than the dispatches of a step.
 */
async function countDispatches(
  { engine, readCounts }: OpenEngine,
  count: number,
  context: number,
  createPrompt: CreatePrompt,
  maxTokens: number,
): Promise<number> {
  const countOf = async (tokens: number) => {
    const before = await readCounts()
    await answerTogether(engine, count, context, createPrompt, tokens)
    return (await readCounts()).dispatches - before.dispatches
  }
  const shortTokens = maxTokens / 4
  const [short, long] = [await countOf(shortTokens), await countOf(maxTokens)]
  return (long - short) / (count * (maxTokens - shortTokens))
}

/** Returns the time per token while all answers decode, from the last first token to the first last token. */
async function answerTogether(
  engine: Engine,
  count: number,
  context: number,
  createPrompt: CreatePrompt,
  maxTokens: number,
): Promise<number> {
  const answers = sequence(count).map(async () => {
    const times: number[] = []
    const stream = engine.generate(createPrompt(context), {
      maxTokens,
      temperature: 0,
      applyChatTemplate: false,
    })
    for await (const { tokenCount } of stream) if (tokenCount > 0) times.push(performance.now())
    return times
  })
  const all = await Promise.all(answers)
  const start = Math.max(...all.map(([first = NaN]) => first))
  const end = Math.min(...all.map((times) => times.at(-1) ?? NaN))
  const tokens = all.flat().filter((time) => time > start && time <= end).length
  if (!(tokens > 0)) throw new Error('The answers did not decode at the same time. Use longer answers.')
  return (end - start) / tokens
}
