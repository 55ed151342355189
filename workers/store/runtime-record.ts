import {
  nameFileLock,
  runtimeFolderName,
  toHex,
  type RuntimePackage,
} from '../../lib/contract/store-layout.js'
import { openStore } from './open-store.js'

/** Something that this browser has learned of a runtime. It is stored with the runtime's file, and is removed with it. */
export interface RuntimeRecord {
  readonly packageName: RuntimePackage
  /** The name of the record in the store. */
  readonly path: string
  /** What the record depends on. It replaces a record of another version. */
  readonly version: string
}

/** @returns undefined if there is no such record, if it is damaged, or if there is no store */
export async function readRuntimeRecord({
  packageName,
  path,
  version,
}: RuntimeRecord): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { store, close } = await openStore(packageName, runtimeFolderName)
  try {
    const file = await store.open(path)
    if (!file?.isComplete || file.record.objectId !== version) return undefined
    const bytes = new Uint8Array(await (await file.read()).arrayBuffer())
    return toHex(await crypto.subtle.digest('SHA-256', bytes)) === file.verifiedSha256 ? bytes : undefined
  } catch {
    return undefined
  } finally {
    close()
  }
}

/** Stores a record if there is a store, and room in it. */
export async function writeRuntimeRecord(
  { packageName, path, version }: RuntimeRecord,
  content: Blob,
): Promise<void> {
  const { store, directory, close } = await openStore(packageName, runtimeFolderName)
  try {
    if (!store.isPersistent) return
    const bytes = new Uint8Array(await content.arrayBuffer())
    const sha256 = toHex(await crypto.subtle.digest('SHA-256', bytes))
    // Another tab that holds the lock writes the same.
    await navigator.locks.request(nameFileLock(directory, path), { ifAvailable: true }, async (lock) => {
      if (!lock) return
      const file = await store.create({
        folderUrl: packageName,
        modelUrl: packageName,
        path,
        isMissing: false,
        sizeBytes: bytes.length,
        segmentBytes: bytes.length,
        validator: undefined,
        objectId: version,
        sha256,
      })
      const segment = await file.openSegment(0)
      try {
        segment.write(bytes)
      } finally {
        segment.close()
      }
      await file.complete(sha256)
    })
  } catch {
    // Without a record, the next load learns it again. A part of one would make the runtime look incomplete.
    await store.remove(path).catch(() => {})
  } finally {
    close()
  }
}

/** Removes a record that has turned out to be wrong. */
export async function removeRuntimeRecord({ packageName, path }: RuntimeRecord): Promise<void> {
  const { store, close } = await openStore(packageName, runtimeFolderName)
  try {
    await store.remove(path)
  } finally {
    close()
  }
}
