// The layout of models in the origin private file system:
//
//   rivulet-models/<model>/<file>/record.json   describes the file; written before its first byte, never changed
//                                 0, 1, 2, …    its bytes, in segments, each written from start to end
//                                 complete      exists when all bytes are stored; contains their computed SHA-256, if any
//   rivulet-models/<model>/used                 written each time the model is opened; its modification time is read
//
// A segment's size is its progress, so a process that is killed at any byte leaves nothing to repair.

/** Describes a stored file. */
export interface FileRecord {
  /** The URL of the model's folder. */
  readonly folderUrl: string
  readonly path: string
  /** True if the server does not have the file. This is recorded so that it is also known offline. */
  readonly isMissing: boolean
  /** Undefined for a missing file and for an unknown size. */
  readonly sizeBytes: number | undefined
  /** The size of every segment except the last. */
  readonly segmentBytes: number
  /** The server's `ETag`, or else `Last-Modified`. */
  readonly validator: string | undefined
  /** The hub's own id of this version of the file. */
  readonly objectId: string | undefined
  /** The expected SHA-256, if known. */
  readonly sha256: string | undefined
}

export const storeFolderName = 'rivulet-models'
export const recordName = 'record.json'
export const completeName = 'complete'
export const usedName = 'used'

/** A hash names a model's directory: its URL can be longer than a file name may be. */
export async function nameModelDirectory(folderUrl: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(folderUrl))
  return toHex(hash).slice(0, 32)
}

export function nameFileDirectory(path: string): string {
  return encodeURIComponent(path)
}

/** Names a Web Lock: shared by tabs that load the model, exclusive while it is removed. */
export function nameModelLock(modelDirectory: string): string {
  return `rivulet model ${modelDirectory}`
}

/** Names a Web Lock: exclusive for the tab that downloads the file. */
export function nameFileLock(modelDirectory: string, path: string): string {
  return `rivulet file ${modelDirectory} ${path}`
}

/** How many segments a file of this size has: at least one. */
export function countSegments({ sizeBytes = 0, segmentBytes }: FileRecord): number {
  return Math.max(1, Math.ceil(sizeBytes / segmentBytes))
}

/** The size of a complete segment; infinite if the file's size is unknown. */
export function measureSegment({ sizeBytes = Infinity, segmentBytes }: FileRecord, index: number): number {
  return sizeBytes === Infinity ? sizeBytes : Math.min(segmentBytes, sizeBytes - index * segmentBytes)
}

/** @returns undefined if there is no record, or only part of one */
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

/** Removes an entry and its contents, if it exists. */
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
