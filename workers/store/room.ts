import { RivuletError } from '../../lib/contract/errors.js'

/** A write found the disk, or the site's share of it, full. */
export class NoRoomError extends Error {}

/**
 * Asks for room before a byte is fetched that could not be kept. Browsers may tell more than they give, so that sites
 * do not learn what else is on the disk: a write can still be refused.
 * @throws RivuletError `quota-exceeded`
 */
export async function checkRoom(path: string, neededBytes: number): Promise<void> {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate()
  const availableBytes = Math.max(0, quota - usage)
  if (neededBytes > availableBytes) throw createQuotaError(path, neededBytes, availableBytes)
}

export function createQuotaError(path: string, neededBytes: number, availableBytes: number): RivuletError {
  return new RivuletError(
    'quota-exceeded',
    `${path} needs ${neededBytes} bytes more, and the browser gives this site ${availableBytes}. ` +
      'Free some with store.evict() or store.remove(), and try again: what has come is kept.',
    { details: { file: path, neededBytes, availableBytes } },
  )
}
