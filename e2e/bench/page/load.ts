import { store } from 'rivulet'
import { describePlan, sequence, type Plan, type Section } from './plan.js'
import type { WorkerRole } from './probe-channel.js'
import { createRow } from './rows.js'

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
const libraries = ['rivulet', 'transformers.js'] as const
type Library = (typeof libraries)[number]
/** The rate of a cold load. */
const coldBytesPerSecond = 20e6
/** The cache of transformers.js (`env.cacheKey`). */
const peerCache = 'transformers-cache'

/**
 * Measures rivulet and transformers.js alternately: from the start of a load to the first token of a short prompt. Each load
 * has a new tab, as when a user comes back: a process that has compiled the runtime before would compile it in another way. A
 * warm load finds all files in the browser: in the model store, and in the cache of transformers.js, and the browser has kept the
 * compiled code of the runtime. A cold load downloads them from a server with a limited rate.
 */
export function measureLoad({ bounds, ...role }: Loading): Section {
  return async (plan) => {
    const setup = { ...role, usesCache: true, model: plan.model }
    const load = async (library: Library, isLong = false) => {
      await window.openTabs(1)
      const call = { kind: 'first token', library, setup, context: promptTokens, isLong } as const
      const { ms } = await window.callTab(0, call)
      await window.closeTabs()
      return ms
    }
    const compare = async (kind: string, before: () => Promise<void>): Promise<Pair> => {
      const pair: Pair = { ours: [], theirs: [] }
      for (const round of sequence(plan.rounds)) {
        await before()
        pair.ours.push(await load('rivulet'))
        await before()
        pair.theirs.push(await load('transformers.js'))
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
    for (const _ of sequence(2)) for (const library of libraries) await load(library, true)
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
