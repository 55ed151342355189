import { RivuletError } from '../../lib/contract/errors.js'
import { pause } from '../http-retry.js'
import type { DownloadJob } from './download-job.js'
import { TransferError, UnreachableError, createRefusal, hideQuery } from './request-range.js'

/** A download fails after this many attempts in a row that received no byte. */
const maxFruitlessAttempts = 5
/** The pause before the second attempt. The pause doubles with each further attempt. */
const firstPauseMs = 250

/** How `retry` watches its attempts. */
interface RetryWatch<T> {
  /** True if what the attempts fetch is stored, so that a later load continues there. @default false */
  readonly isStored?: boolean
  /** Returns the progress so far. After an attempt that increases it, the pauses start short again. */
  measure?(): number
  /**
   * Called after an attempt that got no readable answer, with the number of such attempts in a row. Can end the retries: by
   * returning the result of another way to get it, or by throwing.
   */
  onUnreachable?(attempts: number): Promise<T | undefined>
}

/**
 * Calls `run` again after a `TransferError`, with growing pauses.
 * @throws RivuletError `download-failed` after several attempts in a row without progress; other errors of `run`
 */
export async function retry<T>(
  { signal }: Pick<DownloadJob, 'signal'>,
  run: () => Promise<T>,
  { isStored = false, measure = () => 0, onUnreachable }: RetryWatch<T> = {},
): Promise<T> {
  let fruitlessAttempts = 0
  for (let before = measure(); ; before = measure()) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof TransferError)) throw error
      fruitlessAttempts = measure() > before ? 1 : fruitlessAttempts + 1
      if (fruitlessAttempts === maxFruitlessAttempts) {
        const advice = isStored ? 'Retry to resume; the data downloaded so far is kept.' : 'Retry.'
        throw new RivuletError('download-failed', `${error.message} ${advice}`, { cause: error })
      }
      if (error instanceof UnreachableError) {
        const other = await onUnreachable?.(fruitlessAttempts)
        if (other !== undefined) return other
      }
      await pause(Math.max(error.retryAfterMs, firstPauseMs * 2 ** (fruitlessAttempts - 1)), signal)
    }
  }
}

/**
 * Creates a function to call after each request for a file that got no readable answer. It throws if the server sent another
 * file between two such requests: the file is then missing, or the server sends no CORS headers for it.
 */
export function createRefuser({ url, isServerUp }: DownloadJob): () => Promise<undefined> {
  let wasUp = false
  return async () => {
    if (wasUp) {
      throw createRefusal(
        `${hideQuery(url)} could not be fetched, but the server sends other files. The file is missing, or the server sends no CORS headers for it.`,
      )
    }
    wasUp = await isServerUp()
    return undefined
  }
}
