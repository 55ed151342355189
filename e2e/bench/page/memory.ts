import { answerExactly, describePlan, sequence, withSubjects, type Plan, type Section } from './plan.js'
import type { Counts, WorkerRole } from './probe-channel.js'
import type { ProcessBytes } from './browser-memory.js'
import { createPrompts } from './prompts.js'
import { createRow, type Bound, type Row } from './rows.js'
import { openBare, openRivulet, openTransformers, type LoopSubject } from './subjects.js'
import type { Setup, Subject } from './subject.js'

const cyclesPerRound = 10
const reloads = 3
const newTokens = 4

/** What loading takes, what a loaded model holds, and what is left of it when it is gone. */
export function measureMemory(role: WorkerRole): Section {
  return async (plan) => {
    const setup = { ...role, model: plan.model }
    return [
      ...(await compareLoaded(plan, setup)),
      ...(await measureReloads(plan, setup)),
      ...(await measureCycles(plan, setup)),
    ]
  }
}

interface Held extends Pick<Counts, 'gpuBytesAlive' | 'wasmBytes'> {
  /** JavaScript objects and buffers, WebAssembly's too, of page and worker, by the browser's own count. */
  readonly agentBytes: number
}

const quantities = {
  gpuBytesAlive: 'GPU buffers',
  wasmBytes: 'WebAssembly memory',
  agentBytes: 'page and worker',
} satisfies Record<keyof Held, string>

async function readHeld(subject: Subject): Promise<Held> {
  const agentBytes = await measureAgents()
  return { ...(await subject.readCounts()), agentBytes }
}

interface Loaded {
  readonly name: string
  readonly held: Held
  readonly peakHeapBytes: number
}

/** One after the other: the browser counts all workers together. */
async function compareLoaded(plan: Plan, setup: Setup): Promise<Row[]> {
  const ours = await measureLoaded(plan, setup, openRivulet)
  const theirs = await measureLoaded(plan, setup, openTransformers)
  const { weightBytes } = plan.model
  const row = { ...describePlan(plan), unit: 'B' }
  const weights = { name: 'weights', values: [weightBytes] }
  return [
    ...describe(plan, 'loaded', ours.held, theirs.name, theirs.held),
    createRow({
      ...row,
      quantity: 'worker heap, while loading',
      values: [ours.peakHeapBytes],
      baseline: weights,
      bound: { of: 'ratio', kind: 'at most', limit: 1.2 },
    }),
    createRow({
      ...row,
      quantity: 'worker heap, while loading',
      values: [ours.peakHeapBytes],
      baseline: { name: theirs.name, values: [theirs.peakHeapBytes] },
    }),
    createRow({
      ...row,
      quantity: 'page and worker, loaded',
      values: [ours.held.agentBytes],
      baseline: weights,
      bound: { of: 'ratio', kind: 'at most', limit: 0.2 },
    }),
  ]
}

async function measureLoaded(
  plan: Plan,
  setup: Setup,
  open: (setup: Setup) => Promise<Subject>,
): Promise<Loaded> {
  await window.startHeapPeak()
  const subject = await open(setup)
  const peakHeapBytes = await window.endHeapPeak()
  return withSubjects([subject] as const, async () => {
    await answerOnce(subject, plan)
    const held = await readHeld(subject)
    console.log(`${plan.section}, ${plan.model.name}: ${subject.name}`)
    return { name: subject.name, held, peakHeapBytes }
  })
}

/** In one worker, where it shows what unloading leaves. */
async function measureReloads(plan: Plan, setup: Setup): Promise<Row[]> {
  return withSubjects([await openBare(setup)] as const, async ([subject]) => {
    const left: Held[] = []
    for (const cycle of sequence(reloads)) {
      if (cycle > 0) await subject.load()
      left.push(await answerAndUnload(subject, plan))
      console.log(`${plan.section}, ${plan.model.name}: reload ${cycle + 1}`)
    }
    return describe(plan, `unloaded ${reloads} times`, left.at(-1)!, 'unloaded once', left[0]!)
  })
}

/** As an app has it: each engine has a worker of its own, which ends with it. */
async function measureCycles(plan: Plan, setup: Setup): Promise<Row[]> {
  const cycles = plan.rounds * cyclesPerRound
  const left: ProcessBytes[] = []
  for (const cycle of sequence(cycles)) {
    await withSubjects([await openRivulet(setup)] as const, ([subject]) => answerOnce(subject, plan))
    await measureAgents()
    const now = await window.readProcesses()
    if (!now) return []
    left.push(now)
    console.log(`${plan.section}, ${plan.model.name}: cycle ${cycle + 1}`)
  }
  const compare = (quantity: string, kind: keyof ProcessBytes) =>
    createRow({
      ...describePlan(plan),
      quantity: `${quantity}, disposed ${cycles} times`,
      unit: 'B',
      values: [left.at(-1)![kind]],
      baseline: { name: 'disposed once', values: [left[0]![kind]] },
      bound: { of: 'ratio', kind: 'at most', limit: collectorTolerance },
    })
  return [compare('renderer process', 'renderer'), compare('GPU process', 'gpu')]
}

async function answerAndUnload(subject: LoopSubject, plan: Plan): Promise<Held> {
  await answerOnce(subject, plan)
  await subject.unload()
  return readHeld(subject)
}

async function answerOnce(subject: Subject, { contexts: [context = 64] }: Plan): Promise<void> {
  await answerExactly(subject, context, { prompt: createPrompts()(context), maxTokens: newTokens })
}

/** How far a collector's or an allocator's timing may move what is left. */
const collectorTolerance = 1.05

function describe(plan: Plan, state: string, held: Held, name: string, baseline: Held): Row[] {
  const isLeft = state !== 'loaded'
  const boundLeft = (quantity: keyof Held): Bound => ({
    of: 'ratio',
    kind: 'at most',
    limit: quantity === 'agentBytes' ? collectorTolerance : 1,
  })
  return (Object.keys(quantities) as (keyof Held)[]).map((quantity) =>
    createRow({
      ...describePlan(plan),
      quantity: `${quantities[quantity]}, ${state}`,
      unit: 'B',
      values: [held[quantity]],
      baseline: { name, values: [baseline[quantity]] },
      bound: isLeft ? boundLeft(quantity) : undefined,
    }),
  )
}

/** Waits for the browser to collect first. Only for pages that are cross-origin isolated. */
async function measureAgents(): Promise<number> {
  // Chromium's own, and in no standard library of TypeScript.
  const { bytes } = await (
    performance as Performance & { measureUserAgentSpecificMemory(): Promise<{ readonly bytes: number }> }
  ).measureUserAgentSpecificMemory()
  return bytes
}
