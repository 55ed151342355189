import { answerExactly, describePlan, sequence, withSubjects, type Plan, type Section } from './plan.js'
import type { Counts, WorkerRole } from './probe-channel.js'
import { createPrompts, type CreatePrompt } from './prompts.js'
import { createRow, type Bound, type Measured, type Row } from './rows.js'
import { openRivulet, openTransformers } from './subjects.js'
import type { Answer, Subject } from './subject.js'

/** How a section decodes, and the bounds that it must meet. */
export interface Decoding extends WorkerRole {
  /** Tokens generated after each prompt. */
  readonly newTokens: number
  /** On WebGPU, warm up every context: shaders are compiled for each prompt length. A CPU has none, and long prompts are slow. */
  readonly warmUpAt: 'every context' | 'first context'
  readonly bounds: {
    readonly msPerToken: (context: number, model: string) => number | undefined
    readonly ttft: (context: number) => number | undefined
    /** TTFT of the second turn relative to the first. */
    readonly secondTurn: (history: number) => number | undefined
    /** Time per token at the last context relative to the first. */
    readonly growth?: number
    readonly counts?: Partial<Record<keyof Counts, number>>
  }
}

/** Tokens that the second turn adds to the history. */
const addedTokens = 20
/** Tokens of the first turn's answer, part of the history. */
const answerTokens = 16
const fewTokens = 4

/** Measures rivulet and transformers.js alternately: time per token, TTFT, GPU work and second-turn TTFT. */
export function measureDecoding(decoding: Decoding): Section {
  return async (plan) => {
    const setup = { device: decoding.device, mode: decoding.mode, model: plan.model }
    const subjects = [await openRivulet(setup), await openTransformers(setup)] as const
    return withSubjects(subjects, async ([ours, theirs]) => {
      const createPrompt = createPrompts()
      const bench = { plan, decoding, createPrompt }
      const warmUps = decoding.warmUpAt === 'every context' ? plan.contexts : plan.contexts.slice(0, 1)
      // Twice, because a later prompt can take a different code path than the first one.
      for (const context of [...warmUps, ...warmUps]) {
        for (const subject of subjects) {
          await answerExactly(subject, context, { prompt: createPrompt(context), maxTokens: fewTokens })
        }
      }
      return [
        ...(await measureContexts(bench, ours, theirs)),
        ...(decoding.device === 'webgpu' ? await measureGpuWork(bench, ours, theirs) : []),
        ...(await measureSecondTurn(bench, ours, theirs)),
      ]
    })
  }
}

interface Bench {
  readonly plan: Plan
  readonly decoding: Decoding
  readonly createPrompt: CreatePrompt
}

async function measureContexts(bench: Bench, ours: Subject, theirs: Subject): Promise<Row[]> {
  const { plan, decoding, createPrompt } = bench
  const { bounds, newTokens: maxTokens } = decoding
  const answers = new Map(plan.contexts.map((context) => [context, { ours: [], theirs: [] } as Pairs]))
  for (const round of sequence(plan.rounds)) {
    for (const [context, pairs] of answers) {
      pairs.ours.push(await answerExactly(ours, context, { prompt: createPrompt(context), maxTokens }))
      pairs.theirs.push(await answerExactly(theirs, context, { prompt: createPrompt(context), maxTokens }))
      console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}, context ${context}`)
    }
  }
  const rows = [...answers].flatMap(([context, pairs]) => {
    const compare = (quantity: string, field: 'msPerToken' | 'ttftMs', limit: number | undefined) =>
      createRow({
        ...describePlan(plan),
        context,
        quantity,
        unit: 'ms',
        values: pairs.ours.map((answer) => answer[field]),
        baseline: { name: theirs.name, values: pairs.theirs.map((answer) => answer[field]) },
        bound: boundRatio(limit),
      })
    return [
      compare('time per token', 'msPerToken', bounds.msPerToken(context, plan.model.name)),
      compare('TTFT', 'ttftMs', bounds.ttft(context)),
    ]
  })
  return [...rows, ...compareContexts(plan, bounds.growth, answers)]
}

interface Pairs {
  readonly ours: Answer[]
  readonly theirs: Answer[]
}

function compareContexts(plan: Plan, growth: number | undefined, answers: Map<number, Pairs>): Row[] {
  const [first, last] = [plan.contexts[0], plan.contexts.at(-1)]
  if (growth === undefined || first === undefined || last === undefined || first === last) return []
  const read = (context: number) => answers.get(context)!.ours.map((answer) => answer.msPerToken)
  return [
    createRow({
      ...describePlan(plan),
      context: last,
      quantity: 'time per token',
      unit: 'ms',
      values: read(last),
      baseline: { name: `context ${first}`, values: read(first) },
      bound: boundRatio(growth),
    }),
  ]
}

const gpuWork = {
  submits: 'submits',
  dispatches: 'dispatches',
  bindGroups: 'bind groups created',
  buffers: 'buffers created',
  bytesAllocated: 'memory allocated',
  bytesReadBack: 'memory read back',
} satisfies Partial<Record<keyof Counts, string>>

type Work = Record<keyof typeof gpuWork, number>

async function measureGpuWork(bench: Bench, ours: Subject, theirs: Subject): Promise<Row[]> {
  const { plan, decoding } = bench
  const rows: Row[] = []
  for (const context of plan.contexts) {
    const work: { ours: Work[]; theirs: Work[] } = { ours: [], theirs: [] }
    for (const round of sequence(plan.rounds)) {
      work.ours.push(await countWork(bench, ours, context))
      work.theirs.push(await countWork(bench, theirs, context))
      console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}, counts at context ${context}`)
    }
    for (const [counter, quantity] of Object.entries(gpuWork) as [keyof Work, string][]) {
      const limit = decoding.bounds.counts?.[counter]
      const row: Measured = {
        ...describePlan(plan),
        context,
        quantity: `${quantity} per token`,
        unit: counter.startsWith('bytes') ? 'B' : '',
        values: work.ours.map((each) => each[counter]),
        baseline: { name: theirs.name, values: work.theirs.map((each) => each[counter]) },
        bound: limit === undefined ? undefined : { of: 'value', kind: 'at most', limit },
      }
      rows.push(createRow(row))
    }
  }
  return rows
}

/**
 * Counts the GPU work per token: the difference between a long and a short answer, per extra token. One prefill may need a
 * buffer or a submit more than another; the median over the rounds removes this.
 */
async function countWork({ createPrompt }: Bench, subject: Subject, context: number): Promise<Work> {
  const extraTokens = 16
  const countAnswer = async (maxTokens: number) => {
    const before = await subject.readCounts()
    await answerExactly(subject, context, { prompt: createPrompt(context), maxTokens })
    const after = await subject.readCounts()
    return (counter: keyof Work) => after[counter] - before[counter]
  }
  const short = await countAnswer(fewTokens)
  const long = await countAnswer(fewTokens + extraTokens)
  const counters = Object.keys(gpuWork) as (keyof Work)[]
  return Object.fromEntries(
    counters.map((counter) => [counter, (long(counter) - short(counter)) / extraTokens]),
  ) as Work
}

async function measureSecondTurn(bench: Bench, ours: Subject, theirs: Subject): Promise<Row[]> {
  const { plan, decoding } = bench
  const { bounds } = decoding
  const history = plan.contexts.at(-1)!
  // The context is too short for the first turn's answer.
  if (history <= answerTokens) return []
  const turns: { ours: Conversation[]; theirs: Conversation[] } = { ours: [], theirs: [] }
  if (bench.decoding.warmUpAt === 'every context') {
    for (const subject of [ours, theirs]) await converse(bench, subject, history)
  }
  for (const round of sequence(plan.rounds)) {
    turns.ours.push(await converse(bench, ours, history))
    turns.theirs.push(await converse(bench, theirs, history))
    console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}, second turn`)
  }
  const second = {
    ...describePlan(plan),
    context: history,
    quantity: `second-turn TTFT, ${addedTokens} new tokens`,
    unit: 'ms',
    values: turns.ours.map((turn) => turn.secondTtftMs),
  }
  const first = turns.ours.map((turn) => turn.firstTtftMs)
  return [
    createRow({
      ...second,
      baseline: { name: 'first turn', values: first },
      bound: boundRatio(bounds.secondTurn(history)),
    }),
    createRow({
      ...second,
      baseline: { name: theirs.name, values: turns.theirs.map((turn) => turn.secondTtftMs) },
    }),
  ]
}

interface Conversation {
  readonly firstTtftMs: number
  readonly secondTtftMs: number
}

async function converse({ createPrompt }: Bench, subject: Subject, history: number): Promise<Conversation> {
  const prompt = createPrompt(history - answerTokens)
  const first = await subject.answer({ prompt, maxTokens: answerTokens })
  // The answer may be split into tokens differently: about `history` tokens, and `addedTokens` more.
  const next = prompt + first.text + createPrompt(addedTokens)
  const second = await subject.answer({ prompt: next, maxTokens: fewTokens })
  return { firstTtftMs: first.ttftMs, secondTtftMs: second.ttftMs }
}

function boundRatio(limit: number | undefined): Bound | undefined {
  return limit === undefined ? undefined : { of: 'ratio', kind: 'at most', limit }
}
