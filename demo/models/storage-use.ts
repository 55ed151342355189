import { store, type StoredModel, type StoredRuntime } from 'rivulet'

/** Storage that this site uses in the browser. */
export interface StorageUse {
  readonly models: readonly StoredModel[]
  readonly runtimes: readonly StoredRuntime[]
  /** All storage of this site, as the browser reports it. */
  readonly usedBytes: number
  /** Undefined if the browser does not report it. */
  readonly quotaBytes: number | undefined
  /** Whether the browser keeps the data until the user deletes it; undefined if the browser does not support this. */
  readonly isPersisted: boolean | undefined
}

export async function readStorageUse(): Promise<StorageUse> {
  // Missing on insecure pages.
  const storage: StorageManager | undefined = navigator.storage
  const [models, runtimes, estimate, isPersisted] = await Promise.all([
    store.list(),
    store.listRuntimes(),
    storage?.estimate?.(),
    storage?.persisted?.(),
  ])
  return { models, runtimes, usedBytes: estimate?.usage ?? 0, quotaBytes: estimate?.quota, isPersisted }
}

/** @returns whether the browser granted persistent storage */
export function askToPersist(): Promise<boolean> {
  return navigator.storage.persist()
}
