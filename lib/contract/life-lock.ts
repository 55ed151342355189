/**
 * Takes a Web Lock and holds it until `signal` aborts or this thread ends for any reason. Another thread that waits for the
 * lock then gets it, and so learns that the holder has ended. Without Web Locks, as in insecure pages, this function does
 * nothing.
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

/** Calls `onFree` when no other thread holds the lock any more, unless `signal` aborts first. */
export function watchLifeLock(name: string, signal: AbortSignal, onFree: () => void): void {
  if (!('locks' in navigator)) return
  // The request rejects when `signal` aborts.
  navigator.locks.request(name, { signal }, onFree).catch(() => {})
}
