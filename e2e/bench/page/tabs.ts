import { describePlan, sequence, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createRow } from './rows.js'
import { findMedian, type Setup } from './subject.js'

/** How many tabs are open in each measurement: a page needs memory without a model, too. */
const openTabs = 4
/** How many answers each tab requests at once. */
const requests = 8
const settleMs = 3000

/** How many of the tabs have an engine, and where its model is. */
const cases = {
  'one tab': { engines: 1, host: 'tab' },
  'one tab, shared': { engines: 1, host: 'shared' },
  'four tabs': { engines: 4, host: 'tab' },
  'four tabs, shared': { engines: 4, host: 'shared' },
} as const
type Case = keyof typeof cases
const caseNames = Object.keys(cases) as Case[]

interface Figures {
  /** The renderers and the GPU process; undefined if the system is not Linux. */
  readonly bytes: number | undefined
  /** The load in the last tab. */
  readonly loadMs: number
  /** In the last tab, while the others are idle. */
  readonly ttftMs: number
  /** The mean wait of each tab's answers if all tabs request theirs at the same time. */
  readonly waitsMs: readonly number[]
}

/** Measures what further tabs with the same model cost: memory, load, first token, and the wait for each other. */
export function measureTabs(role: WorkerRole): Section {
  return async (plan) => {
    const {
      model,
      rounds,
      contexts: [context = 64],
    } = plan
    const setup = { ...role, model }
    const measured = new Map(caseNames.map((name) => [name, [] as Figures[]]))
    let seed = 0
    // Downloads the model, so that each measured load is one from the store.
    await measureCase('one tab', setup, context, seed)
    for (const round of sequence(rounds)) {
      for (const name of caseNames) {
        seed += 1
        measured.get(name)!.push(await measureCase(name, setup, context, seed))
      }
      console.log(`${plan.section}, ${model.name}: round ${round + 1}`)
    }
    const read = (name: Case, figure: (figures: Figures) => number) => ({
      name,
      values: measured.get(name)!.map(figure),
    })
    const compare = (
      quantity: string,
      unit: string,
      figure: (figures: Figures) => number,
      [name, baseline]: readonly [Case, Case],
      limit?: number,
    ) =>
      createRow({
        ...describePlan(plan),
        quantity: `${quantity}, ${name}`,
        unit,
        values: read(name, figure).values,
        baseline: read(baseline, figure),
        bound: limit === undefined ? undefined : { of: 'ratio', kind: 'at most', limit },
      })
    const readBytes = ({ bytes }: Figures) => bytes ?? NaN
    const hasBytes = measured.get('one tab')!.every(({ bytes }) => bytes !== undefined)
    const memory = hasBytes
      ? [
          compare(
            'renderers and GPU process',
            'B',
            readBytes,
            ['four tabs, shared', 'one tab, shared'],
            1.15,
          ),
          compare('renderers and GPU process', 'B', readBytes, ['four tabs, shared', 'four tabs']),
        ]
      : []
    const shared = measured.get('four tabs, shared')!
    return [
      ...memory,
      compare('load in the last tab', 'ms', ({ loadMs }) => loadMs, ['four tabs, shared', 'four tabs']),
      compare('TTFT', 'ms', ({ ttftMs }) => ttftMs, ['one tab, shared', 'one tab']),
      compare('TTFT in the last tab', 'ms', ({ ttftMs }) => ttftMs, ['four tabs, shared', 'one tab, shared']),
      createRow({
        ...describePlan(plan),
        quantity: `wait of ${requests} answers in each of four tabs, longest mean`,
        unit: 'ms',
        values: shared.map(({ waitsMs }) => Math.max(...waitsMs)),
        baseline: {
          name: 'shortest mean',
          values: shared.map(({ waitsMs }) => Math.min(...waitsMs)),
        },
        bound: { of: 'ratio', kind: 'at most', limit: 1.5 },
      }),
    ]
  }
}

/** Opens four tabs, loads the model in some of them, and closes them again. */
async function measureCase(name: Case, setup: Setup, context: number, seed: number): Promise<Figures> {
  const { engines, host } = cases[name]
  const tabs = sequence(engines)
  const last = engines - 1
  await window.openTabs(openTabs)
  try {
    let loadMs = 0
    for (const tab of tabs) {
      loadMs = (await window.callTab(tab, { kind: 'load', setup, host })).ms
      await window.callTab(tab, { kind: 'answer', count: 1, context, seed: 1000 * seed + tab })
    }
    const ttftMs: number[] = []
    for (const answer of sequence(9)) {
      const asked = { kind: 'answer', count: 1, context, seed: 1000 * seed + 100 + answer } as const
      ttftMs.push(...(await window.callTab(last, asked)).ttftMs)
    }
    await new Promise((resolve) => setTimeout(resolve, settleMs))
    const processes = await window.readProcesses()
    const all = await Promise.all(
      tabs.map((tab) =>
        window.callTab(tab, {
          kind: 'answer',
          count: requests,
          context: 8,
          seed: 1000 * seed + 200 + 20 * tab,
        }),
      ),
    )
    return {
      bytes: processes && processes.renderer + processes.gpu,
      loadMs,
      ttftMs: findMedian(ttftMs),
      waitsMs: all.map(({ queueMs }) => queueMs.reduce((sum, ms) => sum + ms, 0) / queueMs.length),
    }
  } finally {
    await window.closeTabs()
    // The processes of closed tabs end a little later.
    await new Promise((resolve) => setTimeout(resolve, settleMs))
  }
}
