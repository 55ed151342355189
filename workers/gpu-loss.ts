import { RivuletError } from '../lib/contract/errors.js'

/** How long to wait for the notice of a lost device after a failure: the failure can arrive before the notice. */
const lossNoticeMs = 200

/**
 * Settles like `loading`. If the GPU is lost meanwhile, rejects at once: a runtime may fail with any other error then, or wait
 * without an end.
 * @param lost resolves with the reason when the device is lost
 * @throws RivuletError `device-lost`
 */
export async function failOnLoss<T>(lost: Promise<string>, loading: Promise<T>): Promise<T> {
  const failing = lost.then((reason): never => {
    throw createLoss(reason)
  })
  try {
    return await Promise.race([loading, failing])
  } catch (error) {
    await Promise.race([failing, waitForNotice()])
    throw error
  }
}

/** Creates the error for a GPU that was lost while a model was loading. */
export function createLoss(reason: string, cause?: unknown): RivuletError {
  const message = `The GPU was lost while the model was loading: ${reason}`
  return new RivuletError('device-lost', message, cause === undefined ? {} : { cause })
}

/** Waits until a device that was lost before this call has reported its loss. */
export function waitForNotice(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), lossNoticeMs))
}
