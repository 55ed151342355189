import { store } from 'rivulet'
import { answerExactly, describePlan, sequence, type Plan, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createPrompts } from './prompts.js'
import { createRow } from './rows.js'
import { openRivulet, openTransformers } from './subjects.js'
import type { Setup, Subject } from './subject.js'

/** How a section loads, and the bounds of the ratios. */
export interface Loading extends WorkerRole {
  readonly bounds: { readonly warm?: number; readonly cold?: number }
}

declare global {
  interface Window {
    /** Empties the browser's HTTP cache. */
    readonly clearHttpCache: () => Promise<void>
    /** The rate of the server while it is limited, in bytes per second. */
    readonly setServerRate: (bytesPerSecond: number | undefined) => Promise<void>
  }
}

const promptTokens = 64
/** Only the first token matters; a subject needs two. */
const maxTokens = 2
/** Browsers keep the compiled code of WebAssembly only after it has run for some time. */
const session = { tokens: 512, pauseMs: 4000 }
/** The rate of a cold load. */
const coldBytesPerSecond = 20e6
/** The cache of transformers.js (`env.cacheKey`). */
const peerCache = 'transformers-cache'

/**
 * Measures rivulet and transformers.js alternately: from the start of a load to the first token of a short prompt. Each load
 * has a new worker, which also loads its scripts and starts its runtime. A warm load finds all files in the browser: in the
 * model store, and in the cache of transformers.js, and the browser has kept the compiled code of the runtime. A cold load
 * downloads them from a server with a limited rate.
 */
export function measureLoad({ bounds, ...role }: Loading): Section {
  return async (plan) => {
    const setup = { ...role, usesCache: true, model: plan.model }
    const createPrompt = createPrompts()
    const load = async (open: Open, afterwards: (subject: Subject) => Promise<void> = async () => {}) => {
      const startMs = performance.now()
      const subject = await open(setup)
      const openMs = performance.now() - startMs
      const { ttftMs } = await answerExactly(subject, promptTokens, {
        prompt: createPrompt(promptTokens),
        maxTokens,
      })
      await afterwards(subject)
      await subject.close()
      return openMs + ttftMs
    }
    const useForLong = async (subject: Subject) => {
      await subject.answer({ prompt: createPrompt(promptTokens), maxTokens: session.tokens })
      await new Promise((resolve) => setTimeout(resolve, session.pauseMs))
    }
    const compare = async (kind: string, before: () => Promise<void>): Promise<Pair> => {
      const pair: Pair = { ours: [], theirs: [] }
      for (const round of sequence(plan.rounds)) {
        await before()
        pair.ours.push(await load(openRivulet))
        await before()
        pair.theirs.push(await load(openTransformers))
        const [ours, theirs] = [pair.ours, pair.theirs].map((times) => Math.round(times.at(-1)!))
        console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}, ${kind}: ${ours}, ${theirs} ms`)
      }
      return pair
    }
    const describe = (quantity: string, { ours, theirs }: Pair, limit: number | undefined) =>
      createRow({
        ...describePlan(plan),
        quantity,
        unit: 'ms',
        values: ours,
        baseline: { name: 'transformers.js', values: theirs },
        bound: limit === undefined ? undefined : { of: 'ratio', kind: 'at most', limit },
      })
    await window.setServerRate(undefined)
    // Fills the store and the cache; on WebGPU, rivulet also checks the graph once for each device.
    // The second time, the runtime comes from the HTTP cache, and its code is kept.
    for (const _ of sequence(2))
      for (const open of [openRivulet, openTransformers]) await load(open, useForLong)
    const warm = await compare('warm', async () => {})
    await window.setServerRate(coldBytesPerSecond)
    try {
      const cold = await compare('cold', () => forget(plan))
      return [
        describe('load to first token, files in the browser', warm, bounds.warm),
        describe(`load to first token, files at ${coldBytesPerSecond / 1e6} MB/s`, cold, bounds.cold),
      ]
    } finally {
      await window.setServerRate(undefined)
    }
  }
}

type Open = (setup: Setup) => Promise<Subject>

interface Pair {
  readonly ours: number[]
  readonly theirs: number[]
}

/** What rivulet remembers of earlier loads on this device. */
const recordFolders = ['rivulet-checks', 'rivulet-shaders', 'rivulet-times']

/** Removes the files of the model and of the runtime from the browser, and what is remembered of earlier loads. */
async function forget({ model }: Plan): Promise<void> {
  const root = await navigator.storage.getDirectory()
  for (const name of recordFolders) await root.removeEntry(name, { recursive: true }).catch(() => {})
  await store.remove(model.url)
  for (const { runtime } of await store.listRuntimes()) await store.remove(runtime)
  await caches.delete(peerCache)
  await window.clearHttpCache()
}
