import { RivuletError } from '../../lib/contract/errors.js'

/** Thrown when a write fails because the disk or the site's quota is full. */
export class NoRoomError extends Error {
  constructor() {
    super('The disk or the quota of this site is full.')
  }
}

/**
 * Checks that there is enough free space for a download. A write can still fail: browsers may report more space than there
 * is, so that sites cannot learn what else is on the disk.
 * @throws RivuletError `quota-exceeded`
 */
export async function checkRoom(path: string, neededBytes: number): Promise<void> {
  // Safari has no `estimate` before version 17.
  const storage: Partial<StorageManager> = navigator.storage
  const { quota = Infinity, usage = 0 } = (await storage.estimate?.()) ?? {}
  const availableBytes = Math.max(0, quota - usage)
  if (neededBytes > availableBytes) throw createQuotaError(path, neededBytes, availableBytes)
}

export function createQuotaError(path: string, neededBytes: number, availableBytes: number): RivuletError {
  return new RivuletError(
    'quota-exceeded',
    `${path} needs ${neededBytes} more bytes, but the browser allows this site only ${availableBytes}. ` +
      'Free space with store.evict() or store.remove(), then retry: what is stored is not downloaded again.',
    { details: { file: path, neededBytes, availableBytes } },
  )
}
