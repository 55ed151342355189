// The layout of models in the origin private file system:
//
//   rivulet-models/<folder>/<file>/record.json   describes the file; written before its first byte, never changed
//                                  0, 1, 2, …    the file's bytes, in segments; each is written from start to end
//                                  complete      exists when all bytes are stored; contains the computed SHA-256, if any
//                                  used          written when the file is read; its modification time is the last use
//
// A segment's size shows how much of it is stored, so a process that is killed at any byte leaves nothing to repair.

/** Describes a stored file. */
export interface FileRecord {
  /** The URL of the file's folder. */
  readonly folderUrl: string
  /** Identifies the model that the file belongs to: the folder's URL, or the URL of a GGUF file (see `nameModelUrl`). */
  readonly modelUrl: string
  readonly path: string
  /** True if the server does not have the file. This is recorded so that it is also known offline. */
  readonly isMissing: boolean
  /** The file's size; undefined if the file is missing or its size is unknown. */
  readonly sizeBytes: number | undefined
  /** The size of every segment except the last one, in bytes. */
  readonly segmentBytes: number
  /** The server's `ETag` header, or `Last-Modified` if there is no `ETag`. */
  readonly validator: string | undefined
  /** The hub's own id of this version of the file. */
  readonly objectId: string | undefined
  /** The expected SHA-256, if known. */
  readonly sha256: string | undefined
  /** What a kept prefix is for; undefined for a file of a model or runtime. */
  readonly prefix?: PrefixContent
}

/** Describes a kept prefix: the KV cache of a prompt. Its file's path is a hash of this description. */
export interface PrefixContent {
  /** What the bytes depend on, other than the model's files: the graph, the device, the runtime and the options. */
  readonly binding: string
  /** The versions of the model's files, by path. */
  readonly files: Readonly<Record<string, string>>
  /** The prompt's tokens. */
  readonly ids: readonly number[]
}

export const storeFolderName = 'rivulet-models'
/** The folder of the runtimes' WebAssembly files. It has the same layout; in place of models, it has npm packages. */
export const runtimeFolderName = 'rivulet-runtimes'
/** The folder of kept prefixes. It has the same layout; in place of a model's files, it has the prefixes kept for the model. */
export const prefixFolderName = 'rivulet-prefixes'
/** The npm packages of the runtimes whose files are stored. */
export const runtimePackages = ['onnxruntime-web', '@wllama/wllama'] as const
export type RuntimePackage = (typeof runtimePackages)[number]
export const recordName = 'record.json'
export const completeName = 'complete'
export const usedName = 'used'
export const httpCacheMissName = 'http-cache-miss'

/** Returns the name of a folder's directory. It is a hash, because the folder's URL can be longer than a file name may be. */
export async function nameModelDirectory(folderUrl: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(folderUrl))
  return toHex(hash).slice(0, 32)
}

export function nameFileDirectory(path: string): string {
  return encodeURIComponent(path)
}

/**
 * Returns the name of a folder's Web Lock. Tabs that load a model of the folder share the lock; a tab that removes a model
 * of the folder holds it exclusively.
 */
export function nameModelLock(modelDirectory: string): string {
  return `rivulet model ${modelDirectory}`
}

/** Returns the name of a file's Web Lock. The tab that downloads the file holds this lock exclusively. */
export function nameFileLock(modelDirectory: string, path: string): string {
  return `rivulet file ${modelDirectory} ${path}`
}

/** Returns the number of segments of a file; at least one. */
export function countSegments({ sizeBytes = 0, segmentBytes }: FileRecord): number {
  return Math.max(1, Math.ceil(sizeBytes / segmentBytes))
}

/** Returns the size of a complete segment; Infinity if the file's size is unknown. */
export function measureSegment({ sizeBytes = Infinity, segmentBytes }: FileRecord, index: number): number {
  return sizeBytes === Infinity ? sizeBytes : Math.min(segmentBytes, sizeBytes - index * segmentBytes)
}

/** Reads the record of a file. @returns undefined if there is no record, or only part of one */
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
