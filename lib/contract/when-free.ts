import { RivuletError } from './errors.js'

const pauseMs = 50
const timeoutMs = 60_000

/**
 * Calls `run`, which opens or removes a stored file, again while another thread has the file open. A terminated worker keeps
 * its files open until the browser has cleaned up after it.
 * @param path the file's path, for the error
 * @throws RivuletError `download-failed` if the file is still open after a minute; other errors of `run`
 */
export async function whenFree<T>(path: string, run: () => Promise<T>): Promise<T> {
  for (const endMs = performance.now() + timeoutMs; ;) {
    try {
      return await run()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (performance.now() >= endMs) {
        throw new RivuletError(
          'download-failed',
          `The stored file ${path} is still open in another tab or worker of this site. Close the other tabs of this site, then retry.`,
          { cause: error },
        )
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/**
 * Returns true for the error of a file that another thread has open: `NoModificationAllowedError` in the File System
 * standard (`createSyncAccessHandle`, `removeEntry`), `InvalidStateError` in WebKit.
 */
export function isBusy(error: unknown): boolean {
  return (
    error instanceof DOMException &&
    (error.name === 'NoModificationAllowedError' || error.name === 'InvalidStateError')
  )
}
