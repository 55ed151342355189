import { expect, it } from 'vitest'
import type { Decoder } from './decoder.js'
import { prefill } from './prefill.js'

/** Stands in for a model: only counts the tokens that it gets. */
function createCounter(cachedTokens: number, prefillChunkTokens = 4) {
  const runs: number[] = []
  const decoder = {
    prefillChunkTokens,
    prefillRules: { wholePrompt: false, rotarySwitch: Infinity },
    recallLogits: () => false,
    recall: () => cachedTokens,
    prefill: async (ids: readonly number[]) => void runs.push(ids.length),
  } as unknown as Decoder
  return { decoder, runs }
}

async function run(cachedTokens: number, length: number) {
  const { decoder, runs } = createCounter(cachedTokens)
  const ids = Array.from({ length }, (_, index) => index)
  const progress: number[] = []
  const running = prefill(decoder, { ids, promptLength: length }, new AbortController().signal)
  for (;;) {
    const { done, value } = await running.next()
    if (done) return { runs, progress, cached: value }
    progress.push(value)
  }
}

it('a prefill reports the tokens in the cache after each run except the last', async () => {
  expect(await run(0, 10)).toEqual({ runs: [4, 4, 2], progress: [4, 8], cached: 0 })
  expect(await run(3, 10)).toEqual({ runs: [4, 3], progress: [7], cached: 3 })
  expect(await run(8, 10)).toEqual({ runs: [2], progress: [], cached: 8 })
})
