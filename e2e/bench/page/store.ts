import { store } from 'rivulet'
import { describePlan, sequence, type Section } from './plan.js'
import { createRow } from './rows.js'
import type { StoreCall, StoreReply } from './store.worker.js'

/** Compares the first download with a plain fetch, and a start from the model store with one from the Cache API. */
export const measureStore: Section = async (plan) => {
  const { model, file, rounds } = plan
  const downloads = { stored: [] as number[], bare: [] as number[] }
  const starts = { stored: [] as number[], cached: [] as number[] }
  for (const round of sequence(rounds)) {
    await store.remove(file.url)
    downloads.stored.push(await call({ method: 'store', file }))
    downloads.bare.push(await call({ method: 'fetch', file }))
    console.log(`${plan.section}, ${model.name}: round ${round + 1}, download`)
  }
  await call({ method: 'fillCache', model })
  await call({ method: 'openStored', model })
  for (const round of sequence(rounds)) {
    starts.stored.push(await call({ method: 'openStored', model }))
    starts.cached.push(await call({ method: 'openCached', model }))
    console.log(`${plan.section}, ${model.name}: round ${round + 1}, start`)
  }
  const row = { ...describePlan(plan), unit: 'ms' }
  return [
    createRow({
      ...row,
      quantity: `download, ${file.description}`,
      values: downloads.stored,
      baseline: { name: 'plain fetch', values: downloads.bare },
      bound: { of: 'ratio', kind: 'at most', limit: 1.15 },
    }),
    createRow({
      ...row,
      quantity: 'start from the store, WASM',
      values: starts.stored,
      baseline: { name: 'Cache API', values: starts.cached },
      bound: { of: 'ratio', kind: 'at most', limit: 1.1 },
    }),
  ]
}

/** Runs the call in a new worker, as an app would. @returns the duration in milliseconds, measured in the worker */
async function call(request: StoreCall): Promise<number> {
  const worker = new Worker(new URL('./store.worker.ts', import.meta.url), { type: 'module' })
  try {
    const reply = await new Promise<StoreReply>((resolve, reject) => {
      worker.onerror = ({ message }) => reject(new Error(`The worker failed: ${message}`))
      worker.onmessage = ({ data }: MessageEvent<StoreReply>) => resolve(data)
      worker.postMessage(request, [])
    })
    if ('failure' in reply) throw new Error(reply.failure)
    return reply.ms
  } finally {
    worker.terminate()
  }
}
