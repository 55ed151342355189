import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { OwnModel } from './own-files.js'

/** A model of the visitor's that can be opened again, if the visitor still allows it. */
export interface KeptModel extends Pick<OwnModel, 'name' | 'runtime' | 'sizeBytes' | 'handles'> {
  readonly id: string
}

interface Schema extends DBSchema {
  models: { key: string; value: KeptModel }
}

/** Not in TypeScript's library; where it is missing, handles are never kept by the browser either. */
interface AskingHandle extends FileSystemHandle {
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>
}

const open = (): Promise<IDBPDatabase<Schema>> =>
  openDB<Schema>('rivulet-demo-files', 1, {
    upgrade: (database) => void database.createObjectStore('models', { keyPath: 'id' }),
  })

export async function listKept(): Promise<readonly KeptModel[]> {
  try {
    const database = await open()
    const models = await database.getAll('models')
    database.close()
    return models
  } catch {
    // Private windows of some browsers have no database.
    return []
  }
}

/** @returns whether the browser could keep it */
export async function keepFiles({ name, runtime, sizeBytes, handles }: OwnModel): Promise<boolean> {
  if (handles.length === 0) return false
  try {
    const database = await open()
    await database.put('models', { id: `${runtime} ${name}`, name, runtime, sizeBytes, handles })
    database.close()
    return true
  } catch {
    // It keeps no handles, or nothing at all.
    return false
  }
}

export async function forgetFiles(id: string): Promise<void> {
  const database = await open()
  await database.delete('models', id)
  database.close()
}

/** Asks the visitor, where the browser wants that; to be called from a click. */
export async function mayRead(handles: readonly FileSystemHandle[]): Promise<boolean> {
  for (const handle of handles as readonly AskingHandle[]) {
    if ((await handle.requestPermission?.({ mode: 'read' })) === 'denied') return false
  }
  return true
}
