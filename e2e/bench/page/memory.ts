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

/** Measures memory while a model loads, while it is loaded, and after it is unloaded. */
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

interface MemoryUse extends Pick<Counts, 'gpuBytesAlive' | 'wasmBytes'> {
  /** JavaScript objects and buffers, including WebAssembly's, of page and worker; reported by the browser. */
  readonly agentBytes: number
}

const quantities = {
  gpuBytesAlive: 'GPU buffers',
  wasmBytes: 'WebAssembly memory',
  agentBytes: 'page and worker',
} satisfies Record<keyof MemoryUse, string>

async function readMemoryUse(subject: Subject): Promise<MemoryUse> {
  const agentBytes = await measureAgents()
  return { ...(await subject.readCounts()), agentBytes }
}

interface Loaded {
  readonly name: string
  readonly used: MemoryUse
  readonly peakHeapBytes: number
}

/** Measures one library after the other, because the browser reports all workers together. */
async function compareLoaded(plan: Plan, setup: Setup): Promise<Row[]> {
  const ours = await measureLoaded(plan, setup, openRivulet)
  const theirs = await measureLoaded(plan, setup, openTransformers)
  const { weightBytes } = plan.model
  const row = { ...describePlan(plan), unit: 'B' }
  const weights = { name: 'weights', values: [weightBytes] }
  return [
    ...describe(plan, 'loaded', ours.used, theirs.name, theirs.used),
    createRow({
      ...row,
      quantity: 'peak worker heap while loading',
      values: [ours.peakHeapBytes],
      baseline: weights,
      bound: { of: 'ratio', kind: 'at most', limit: 1.2 },
    }),
    createRow({
      ...row,
      quantity: 'peak worker heap while loading',
      values: [ours.peakHeapBytes],
      baseline: { name: theirs.name, values: [theirs.peakHeapBytes] },
    }),
    createRow({
      ...row,
      quantity: 'page and worker, loaded',
      values: [ours.used.agentBytes],
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
    const used = await readMemoryUse(subject)
    console.log(`${plan.section}, ${plan.model.name}: ${subject.name}`)
    return { name: subject.name, used, peakHeapBytes }
  })
}

/** Loads and unloads several times in one worker, to detect memory that unloading does not free. */
async function measureReloads(plan: Plan, setup: Setup): Promise<Row[]> {
  return withSubjects([await openBare(setup)] as const, async ([subject]) => {
    const left: MemoryUse[] = []
    for (const cycle of sequence(reloads)) {
      if (cycle > 0) await subject.load()
      left.push(await answerAndUnload(subject, plan))
      console.log(`${plan.section}, ${plan.model.name}: reload ${cycle + 1}`)
    }
    return describe(plan, `unloaded ${reloads} times`, left.at(-1)!, 'unloaded once', left[0]!)
  })
}

/** Creates and disposes engines as an app does: each engine has a worker that is terminated with it. */
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

async function answerAndUnload(subject: LoopSubject, plan: Plan): Promise<MemoryUse> {
  await answerOnce(subject, plan)
  await subject.unload()
  return readMemoryUse(subject)
}

async function answerOnce(subject: Subject, { contexts: [context = 64] }: Plan): Promise<void> {
  await answerExactly(subject, context, { prompt: createPrompts()(context), maxTokens: newTokens })
}

/** Allows for variation by the timing of garbage collection and allocators. */
const collectorTolerance = 1.05

function describe(plan: Plan, state: string, used: MemoryUse, name: string, baseline: MemoryUse): Row[] {
  const isUnloaded = state !== 'loaded'
  const createBound = (quantity: keyof MemoryUse): Bound => ({
    of: 'ratio',
    kind: 'at most',
    limit: quantity === 'agentBytes' ? collectorTolerance : 1,
  })
  return (Object.keys(quantities) as (keyof MemoryUse)[]).map((quantity) =>
    createRow({
      ...describePlan(plan),
      quantity: `${quantities[quantity]}, ${state}`,
      unit: 'B',
      values: [used[quantity]],
      baseline: { name, values: [baseline[quantity]] },
      bound: isUnloaded ? createBound(quantity) : undefined,
    }),
  )
}

/** Measures after a garbage collection. Needs a cross-origin isolated page. */
async function measureAgents(): Promise<number> {
  // Only Chromium has it, and TypeScript's DOM types do not include it.
  const { bytes } = await (
    performance as Performance & { measureUserAgentSpecificMemory(): Promise<{ readonly bytes: number }> }
  ).measureUserAgentSpecificMemory()
  return bytes
}
