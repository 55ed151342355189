import { answerExactly, sequence, withSubjects, type Plan, type Section } from './plan.js'
import type { Counts, WorkerRole } from './probe-channel.js'
import { createPrompts } from './prompts.js'
import { createRow, type Row } from './rows.js'
import { openBare, openRivulet, openTransformers, type LoopSubject } from './subjects.js'
import type { Setup, Subject } from './subject.js'

const cycles = 3
const newTokens = 4

/** What a loaded model holds, and what is left of it when it is unloaded. */
export function measureMemory(role: WorkerRole): Section {
  return async (plan) => {
    const setup = { ...role, model: plan.model }
    return [...(await compareLoaded(plan, setup)), ...(await measureCycles(plan, setup))]
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

/** One after the other: the browser counts all workers together. */
async function compareLoaded(plan: Plan, setup: Setup): Promise<Row[]> {
  const measure = async (open: (setup: Setup) => Promise<Subject>) =>
    withSubjects([await open(setup)] as const, async ([subject]) => {
      await answerOnce(subject, plan)
      console.log(`${plan.section}, ${plan.model.name}: ${subject.name}`)
      return { name: subject.name, held: await readHeld(subject) }
    })
  const ours = await measure(openRivulet)
  const theirs = await measure(openTransformers)
  return describe(plan, 'loaded', ours.held, theirs.name, theirs.held)
}

/** In one worker, where what is left can be seen: an engine ends its worker, and all that it held. */
async function measureCycles(plan: Plan, setup: Setup): Promise<Row[]> {
  return withSubjects([await openBare(setup)] as const, async ([subject]) => {
    const left: Held[] = []
    for (const cycle of sequence(cycles)) {
      if (cycle > 0) await subject.load()
      left.push(await answerAndUnload(subject, plan))
      console.log(`${plan.section}, ${plan.model.name}: cycle ${cycle + 1}`)
    }
    return describe(plan, `unloaded ${cycles} times`, left.at(-1)!, 'unloaded once', left[0]!)
  })
}

async function answerAndUnload(subject: LoopSubject, plan: Plan): Promise<Held> {
  await answerOnce(subject, plan)
  await subject.unload()
  return readHeld(subject)
}

async function answerOnce(subject: Subject, { contexts: [context = 64] }: Plan): Promise<void> {
  await answerExactly(subject, context, { prompt: createPrompts()(context), maxTokens: newTokens })
}

/** How far a collector's timing may move what is left in JavaScript. */
const collectorTolerance = 1.05

function describe(plan: Plan, state: string, held: Held, name: string, baseline: Held): Row[] {
  const isLeft = state !== 'loaded'
  return (Object.keys(quantities) as (keyof Held)[]).map((quantity) =>
    createRow({
      section: plan.section,
      model: plan.model.name,
      quantity: `${quantities[quantity]}, ${state}`,
      unit: 'B',
      values: [held[quantity]],
      baseline: { name, values: [baseline[quantity]] },
      bound: isLeft
        ? { of: 'ratio', kind: 'at most', limit: quantity === 'agentBytes' ? collectorTolerance : 1 }
        : undefined,
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
