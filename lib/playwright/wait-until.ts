import { setTimeout } from 'node:timers/promises'

const pollMs = 20

/**
 * Calls `check` every 20 ms until it returns a value.
 * @returns the value; undefined after the timeout
 */
export async function waitUntil<T>(check: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = check()
    if (found !== undefined || performance.now() >= deadline) return found
    await setTimeout(pollMs)
  }
}
