import { countCommonPrefix, worthParkingTokens } from './conversations.js'
import type { Decoder } from './decoder.js'

/** A decoder that belongs to one generation until its release. */
export interface DecoderLease {
  readonly decoder: Decoder
  /** Reports that the prompt is computed. Generations with the same start of the prompt wait for that. */
  markComputed(): void
  release(): void
}

/** The decoders of a loaded model, one for each generation that runs at the same time. */
export interface DecoderPool {
  /**
   * Returns the decoder whose cache has the longest start of `promptIds`. First waits for the prompts that are being computed and
   * have at least half of it, so that this half is computed only once.
   * @param canPause true if the reader of this generation can pause its prefill. Then no other generation waits for it
   * @throws the reason of `signal`
   */
  take(promptIds: readonly number[], canPause: boolean, signal: AbortSignal): Promise<DecoderLease>
}

/** Creates the pool. It grows as needed: the host limits the number of generations. @param first the first decoder */
export function createDecoderPool(first: Decoder): DecoderPool {
  /** From the least to the most recently used. */
  const idle: Decoder[] = [first]
  const computing = new Map<readonly number[], Promise<void>>()

  function findComputing(promptIds: readonly number[]): Promise<void> | undefined {
    for (const [ids, computed] of computing) {
      const common = countCommonPrefix(ids, promptIds)
      if (common >= worthParkingTokens && common >= promptIds.length / 2) return computed
    }
    return undefined
  }

  function chooseIdle(promptIds: readonly number[]): Decoder {
    let best = idle[0] ?? first.fork()
    for (const decoder of idle)
      if (decoder.countCurrent(promptIds) > best.countCurrent(promptIds)) best = decoder
    const index = idle.indexOf(best)
    if (index >= 0) idle.splice(index, 1)
    return best
  }

  return {
    async take(promptIds, canPause, signal) {
      for (let other = findComputing(promptIds); other; other = findComputing(promptIds)) {
        await untilAborted(other, signal)
        signal.throwIfAborted()
      }
      const decoder = chooseIdle(promptIds)
      let finish = () => {}
      if (!canPause) computing.set(promptIds, new Promise((resolve) => (finish = resolve)))
      const markComputed = () => {
        computing.delete(promptIds)
        finish()
      }
      return {
        decoder,
        markComputed,
        release() {
          markComputed()
          decoder.endAnswer()
          idle.push(decoder)
        },
      }
    },
  }
}

/** Resolves when `promise` resolves or `signal` is aborted. */
async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop = () => {}
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop)
  })
  await Promise.race([promise, aborted])
  signal.removeEventListener('abort', stop)
}
