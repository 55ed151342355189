/**
 * Takes a Web Lock that is held until this thread is gone, for whatever reason, or `signal` aborts: whoever asks for it then
 * knows. Does nothing where the browser has no locks, as on pages that are not secure.
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

/** Calls `onFree` when a lock that another thread holds becomes free, unless `signal` aborts before. */
export function watchLifeLock(name: string, signal: AbortSignal, onFree: () => void): void {
  if (!('locks' in navigator)) return
  // Rejects when `signal` aborts.
  navigator.locks.request(name, { signal }, onFree).catch(() => {})
}
