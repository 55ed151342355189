import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { LocalModel } from './local-files.js'

/** Local files of the user that can be opened again, if the user still allows it. */
export interface SavedModel extends Pick<LocalModel, 'name' | 'runtime' | 'sizeBytes' | 'handles'> {
  readonly id: string
}

interface Schema extends DBSchema {
  models: { key: string; value: SavedModel }
}

/** Missing from TypeScript's DOM library. Browsers without it cannot save handles either. */
interface PermissionHandle extends FileSystemHandle {
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>
}

const open = (): Promise<IDBPDatabase<Schema>> =>
  openDB<Schema>('rivulet-demo-files', 1, {
    upgrade: (database) => void database.createObjectStore('models', { keyPath: 'id' }),
  })

export async function listSaved(): Promise<readonly SavedModel[]> {
  try {
    const database = await open()
    const models = await database.getAll('models')
    database.close()
    return models
  } catch {
    // Private windows of some browsers have no IndexedDB.
    return []
  }
}

/** @returns whether the browser saved the handles */
export async function saveFiles({ name, runtime, sizeBytes, handles }: LocalModel): Promise<boolean> {
  if (handles.length === 0) return false
  try {
    const database = await open()
    await database.put('models', { id: `${runtime} ${name}`, name, runtime, sizeBytes, handles })
    database.close()
    return true
  } catch {
    // The browser cannot store handles, or has no IndexedDB.
    return false
  }
}

export async function deleteSavedFiles(id: string): Promise<void> {
  const database = await open()
  await database.delete('models', id)
  database.close()
}

/** Asks the user for permission to read, if the browser requires it. Call it from a click. */
export async function requestRead(handles: readonly FileSystemHandle[]): Promise<boolean> {
  for (const handle of handles as readonly PermissionHandle[]) {
    if ((await handle.requestPermission?.({ mode: 'read' })) === 'denied') return false
  }
  return true
}
