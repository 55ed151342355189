/** Settles like the promise, or resolves with undefined after `timeoutMs`. A timer is not left behind: it would hold its context. */
export function settleWithin<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, timeoutMs, undefined)))
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}
