import { store, type StoredModel } from 'rivulet'

/** What this site keeps in the browser. */
export interface StorageUse {
  readonly models: readonly StoredModel[]
  /** Of everything, as the browser counts. */
  readonly usedBytes: number
  /** Undefined where the browser does not tell. */
  readonly quotaBytes: number | undefined
  /** The browser keeps it until the visitor deletes it. Undefined where it cannot be asked to. */
  readonly isPersisted: boolean | undefined
}

export async function readStorageUse(): Promise<StorageUse> {
  // Missing on pages that are not secure.
  const storage: StorageManager | undefined = navigator.storage
  const [models, estimate, isPersisted] = await Promise.all([
    store.list(),
    storage?.estimate?.(),
    storage?.persisted?.(),
  ])
  return { models, usedBytes: estimate?.usage ?? 0, quotaBytes: estimate?.quota, isPersisted }
}

/** @returns whether the browser agreed */
export function askToPersist(): Promise<boolean> {
  return navigator.storage.persist()
}
