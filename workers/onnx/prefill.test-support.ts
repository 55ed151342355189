import type { Decoder } from './decoder.js'
import { prefill, type PrefillInput } from './prefill.js'

/** Computes the tokens that the cache does not hold. @returns the number of tokens that it already held */
export async function prefillAll(decoder: Decoder, input: PrefillInput): Promise<number> {
  const runs = prefill(decoder, input, new AbortController().signal)
  for (;;) {
    const { done, value } = await runs.next()
    if (done) return value
  }
}
