import { RivuletError, describeError } from '../../lib/contract/errors.js'

/** Waits until a file is read. @throws RivuletError `download-failed` if that fails */
export async function readFrom<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    throw createReadError(path, error)
  }
}

/** Reads a file synchronously. @throws RivuletError `download-failed` if that fails */
export function readNow<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw createReadError(path, error)
  }
}

function createReadError(path: string, error: unknown): RivuletError {
  if (error instanceof RivuletError) return error
  return new RivuletError(
    'download-failed',
    `${path} could not be read (${describeError(error)}). It was changed or removed, or there is not enough memory.`,
    { cause: error },
  )
}
