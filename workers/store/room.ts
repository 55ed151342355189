import { RivuletError } from '../../lib/contract/errors.js'

/** A write found the disk, or the site's share of it, full. */
export class NoRoomError extends Error {}

/** @throws RivuletError `quota-exceeded`, before a byte is fetched that could not be kept */
export async function checkRoom(path: string, neededBytes: number): Promise<void> {
  const availableBytes = await measureRoom()
  if (neededBytes > availableBytes) throw createQuotaError(path, neededBytes, availableBytes)
}

/** Bytes that this site may still keep; infinite where the browser does not say. */
export async function measureRoom(): Promise<number> {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate()
  return Math.max(0, quota - usage)
}

export function createQuotaError(path: string, neededBytes: number, availableBytes: number): RivuletError {
  return new RivuletError(
    'quota-exceeded',
    `${path} needs ${neededBytes} bytes more, and the browser has ${availableBytes} left for this site. ` +
      'Free some with store.evict() or store.remove(); what has come is kept.',
    { details: { file: path, neededBytes, availableBytes } },
  )
}
