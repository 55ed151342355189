// How models lie in the origin private file system:
//
//   rivulet-models/<model>/<file>/record.json   what the file is; written before its first byte, never changed
//                                 0, 1, 2, …    its bytes, in segments that are each written from their start on
//                                 complete      is there when all bytes are; holds the SHA-256 that they were found to have
//   rivulet-models/<model>/used                 written whenever the model is opened: its time is what counts
//
// A segment's size is its progress: a process that is killed at any byte leaves nothing to repair.

/** What is known of a stored file. */
export interface FileRecord {
  /** Of the model's folder. */
  readonly folderUrl: string
  readonly path: string
  /** The server has no such file, which is worth knowing offline. */
  readonly isMissing: boolean
  /** Undefined for a missing file, and where nobody tells. */
  readonly sizeBytes: number | undefined
  /** All segments have this size, but for the last. */
  readonly segmentBytes: number
  /** The server's `ETag`, or else `Last-Modified`. */
  readonly validator: string | undefined
  /** The hub's own id of this version of the file. */
  readonly objectId: string | undefined
  /** What the bytes must have, where that is known. */
  readonly sha256: string | undefined
}

export const storeFolderName = 'rivulet-models'
export const recordName = 'record.json'
export const completeName = 'complete'
export const usedName = 'used'

/** A name for a folder's directory: its URL can be longer than a file name may be. */
export async function nameModelDirectory(folderUrl: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(folderUrl))
  return toHex(hash).slice(0, 32)
}

export function nameFileDirectory(path: string): string {
  return encodeURIComponent(path)
}

/** Of a Web Lock: shared by those who open the model, exclusive for who removes it. */
export function nameModelLock(modelDirectory: string): string {
  return `rivulet model ${modelDirectory}`
}

/** Of a Web Lock: exclusive for who downloads the file. */
export function nameFileLock(modelDirectory: string, path: string): string {
  return `rivulet file ${modelDirectory} ${path}`
}

/** How many segments a file of this size has: at least one. */
export function countSegments({ sizeBytes = 0, segmentBytes }: FileRecord): number {
  return Math.max(1, Math.ceil(sizeBytes / segmentBytes))
}

/** How long a segment is when it is whole: infinite where nobody tells. */
export function measureSegment({ sizeBytes = Infinity, segmentBytes }: FileRecord, index: number): number {
  return sizeBytes === Infinity ? sizeBytes : Math.min(segmentBytes, sizeBytes - index * segmentBytes)
}

/** @returns undefined where there is none, or one that was cut short */
export async function readRecord(directory: FileSystemDirectoryHandle): Promise<FileRecord | undefined> {
  try {
    return JSON.parse(await (await getFile(directory, recordName))!.text()) as FileRecord
  } catch {
    return undefined
  }
}

export async function getFile(directory: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  try {
    return await (await directory.getFileHandle(name)).getFile()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export async function getDirectory(
  parent: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await parent.getDirectoryHandle(name)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Removes an entry with all that is in it; nothing happens where there is none. */
export async function removeEntry(parent: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    await parent.removeEntry(name, { recursive: true })
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

export function toHex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function isMissing(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NotFoundError'
}
