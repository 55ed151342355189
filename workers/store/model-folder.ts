import type { DownloadRequest } from '../../lib/contract/download-request.js'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { ModelLocation } from '../../lib/contract/model-location.js'
import { readFrom, readNow } from './read-from.js'
import { openBlob, type ReadableFile } from './readable-file.js'
import { openRemoteFiles } from './remote-files.js'
import type { CollectProgress } from './collect-progress.js'
import { createUnknownFileError } from './pinned-hashes.js'
import { hashBlob } from './sha256.js'

/** The files of one model. Paths are relative to the model's folder. */
export interface ModelFolder {
  /** The folder's URL, or the name of a local folder. */
  readonly url: string
  /**
   * Opens a file for reading. `readInto` throws a RivuletError `download-failed`. The folder's `close` closes the file too, if it
   * is still open.
   * @returns undefined if the folder has no such file
   */
  openFile(path: string): Promise<ReadableFile | undefined>
  /** Returns true if the folder has the file. Does not download the file. */
  has(path: string): Promise<boolean>
  /** @returns the parsed object, or undefined if the folder has no such file */
  readJson(path: string): Promise<Record<string, unknown> | undefined>
  /** @returns the file's text, or undefined if the folder has no such file */
  readText(path: string): Promise<string | undefined>
}

/** A folder that is open for loading. The files cannot be removed until the folder is closed. */
export interface OpenModelFolder extends ModelFolder {
  /** @returns the stored file without copying it, or undefined if the folder has no such file */
  readBlob(path: string): Promise<Blob | undefined>
  /** @returns the paths in the hub's listing; without a listing, those of the stored files; or those of the local files */
  list(): Promise<readonly string[]>
  /** @returns what changes if the stored file is replaced by another version; undefined if it is not stored, or not known */
  readVersion(path: string): Promise<string | undefined>
  /**
   * Call it for a folder that is not a model, with the error `model-not-found`. Discards the records of missing files, so that
   * the next load requests these files again.
   * @returns the error, with the answers of a server that refused files
   */
  explainMissing(notFound: RivuletError): Promise<RivuletError>
  close(): void
}

/**
 * `small` files are downloaded in one request without a range: configurations, tokenizers and templates, which servers may
 * compress. The segments of `any` file are downloaded in parallel.
 */
export type FileSize = 'small' | 'any'

/** Gives access to the files of one location. The files are stored, downloaded or local. */
export interface ModelFiles {
  /** @returns the file without copying it, or undefined if there is no such file */
  read(path: string, size?: FileSize): Promise<Blob | undefined>
  /** Opens a file for reading. @returns undefined if there is no such file */
  openFile(path: string): Promise<ReadableFile | undefined>
  /** Returns true if there is such a file. Does not read the file. */
  has(path: string): Promise<boolean>
  list(): Promise<readonly string[]>
  /** As in `OpenModelFolder`. */
  readVersion(path: string): Promise<string | undefined>
  explainMissing(notFound: RivuletError): Promise<RivuletError>
  close(): void
}

/**
 * Opens a model's folder and reports the progress of downloads to `onProgress`.
 * The folder's methods throw a RivuletError (`download-failed`, `integrity-failed` or `quota-exceeded`; `readJson` also
 * `model-invalid`) or the reason of `signal`.
 * @throws RivuletError `invalid-option` if `download.sha256` has a hash for a file that the folder does not have,
 *   `download-failed`; the reason of `signal`
 */
export async function openModelFolder(
  location: Exclude<ModelLocation, { kind: 'none' }>,
  download: DownloadRequest,
  { onProgress, signal }: { onProgress: CollectProgress; signal: AbortSignal },
): Promise<OpenModelFolder> {
  const url = location.kind === 'local' ? location.name : location.url
  const files =
    location.kind === 'local'
      ? openLocalFiles(location.files, location.name, download.sha256)
      : await openRemoteFiles(location, download, { onProgress, signal })

  /** The small files that were read before: several parts of a backend read the same ones. */
  const small = new Map<string, Promise<Blob | undefined>>()

  async function readBlob(path: string): Promise<Blob | undefined> {
    const blob = await files.read(path, 'any')
    signal.throwIfAborted()
    return blob
  }

  async function readText(path: string): Promise<string | undefined> {
    const reading = small.get(path) ?? files.read(path, 'small')
    small.set(path, reading)
    const blob = await reading
    signal.throwIfAborted()
    return blob && readFrom(path, blob.text())
  }

  /** The files that `close` closes; undefined after that. */
  let open: Set<ReadableFile> | undefined = new Set()

  async function openFile(path: string): Promise<ReadableFile | undefined> {
    const file = await files.openFile(path)
    if (!open || signal.aborted) file?.close()
    else if (file) open.add(file)
    signal.throwIfAborted()
    if (!file) return undefined
    const { byteLength } = file
    return {
      byteLength,
      readInto: (target, at) => readNow(path, () => file.readInto(target, at)),
      close() {
        open?.delete(file)
        file.close()
      },
    }
  }

  return {
    url,
    openFile,
    readText,
    readBlob,
    has: files.has,
    list: files.list,
    readVersion: files.readVersion,
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : parseObject(text, path)
    },
    explainMissing: files.explainMissing,
    close() {
      for (const file of open ?? []) file.close()
      open = undefined
      files.close()
    },
  }
}

function openLocalFiles(
  files: ReadonlyMap<string, File>,
  folderName: string,
  pinned: DownloadRequest['sha256'],
): ModelFiles {
  // Files that the user chose one by one have no folder in their paths.
  const find = (path: string) => files.get(path) ?? files.get(path.slice(path.lastIndexOf('/') + 1))
  const pins = new Map(
    Object.entries(pinned).map(([path, sha256]) => {
      const file = find(path)
      if (!file) throw createUnknownFileError(path, `"${folderName}"`, [...files.keys()])
      return [file, sha256]
    }),
  )
  const read = async (path: string) => {
    const file = find(path)
    const expected = file && pins.get(file)
    if (expected !== undefined) await checkHash(path, file!, expected)
    return file
  }
  return {
    explainMissing: (notFound) => Promise.resolve(notFound),
    has: (path) => Promise.resolve(find(path) !== undefined),
    list: () => Promise.resolve([...files.keys()]),
    // A local file can change without notice.
    readVersion: () => Promise.resolve(undefined),
    read,
    async openFile(path) {
      const file = await read(path)
      return file && readFrom(path, openBlob(file))
    },
    close() {},
  }
}

/** Checks that a local file has the expected SHA-256. @throws RivuletError `integrity-failed`, `download-failed` */
async function checkHash(path: string, file: File, expected: string): Promise<void> {
  const got = await readFrom(path, hashBlob(file))
  if (got === expected) return
  throw new RivuletError(
    'integrity-failed',
    `The SHA-256 of ${path} is ${got}, but "download.sha256" requires ${expected}. Choose the matching file, or correct the hash.`,
    { details: { file: path, expected, got } },
  )
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new RivuletError('model-invalid', `${path} is not valid JSON: ${describeError(error)}`, {
      cause: error,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RivuletError('model-invalid', `${path} must contain a JSON object.`)
  }
  return value as Record<string, unknown>
}
