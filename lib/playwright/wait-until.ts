import { setTimeout } from 'node:timers/promises'

const pollMs = 20

/**
 * Waits until `look` sees something.
 * @returns undefined where it has not in time
 */
export async function waitUntil<T>(look: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const seen = look()
    if (seen !== undefined || performance.now() >= deadline) return seen
    await setTimeout(pollMs)
  }
}
