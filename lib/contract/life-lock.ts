/**
 * Takes a Web Lock and holds it until `signal` aborts or this thread ends for any reason. Another thread that requests the
 * lock thereby learns when that happens. Does nothing without Web Locks, as in insecure pages.
 */
export async function holdLifeLock(name: string, signal?: AbortSignal): Promise<void> {
  if (!('locks' in navigator)) return
  const released = new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
  await new Promise<void>((resolve) => {
    void navigator.locks.request(name, () => {
      resolve()
      return signal?.aborted ? undefined : released
    })
  })
}

/** Calls `onFree` when another thread releases the lock, unless `signal` aborts first. */
export function watchLifeLock(name: string, signal: AbortSignal, onFree: () => void): void {
  if (!('locks' in navigator)) return
  // Rejects when `signal` aborts.
  navigator.locks.request(name, { signal }, onFree).catch(() => {})
}
