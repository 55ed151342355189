import type { TransferProgress } from './download-job.js'
import { watchProgress } from './share-progress.js'

/**
 * Calls `run` when no other tab downloads the file. While it waits, it reports the other tab's progress.
 * @param lock the name of the file's Web Lock
 * @throws the reason of `signal`; errors of `run`
 */
export async function withFileLock<T>(
  lock: string,
  {
    signal,
    onProgress,
  }: { readonly signal: AbortSignal; readonly onProgress: (progress: TransferProgress) => void },
  run: (hasWaited: boolean) => Promise<T>,
): Promise<T> {
  const first = await navigator.locks.request(lock, { ifAvailable: true }, async (held) =>
    held ? { value: await run(false) } : undefined,
  )
  if (first) return first.value
  const stop = watchProgress(lock, onProgress)
  try {
    return await navigator.locks.request(lock, { signal }, () => run(true))
  } finally {
    stop()
  }
}
