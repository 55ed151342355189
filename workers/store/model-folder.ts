import type { DownloadRequest } from '../../lib/contract/download-options.js'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { ModelLocation } from '../../lib/contract/model-source.js'
import { openRemoteFiles } from './remote-files.js'
import type { LoadProgress } from '../../lib/contract/worker-api.js'
import { collectProgress } from './collect-progress.js'

/** The files of one model. Paths are relative to the model's folder. */
export interface ModelFolder {
  /** Where it is: a URL, or the name of a folder of the visitor's. */
  readonly url: string
  /** @returns the file's bytes, or undefined where the folder has no such file */
  readBytes(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** @returns the parsed object, or undefined where the folder has no such file */
  readJson(path: string): Promise<Record<string, unknown> | undefined>
  /** @returns the file's text, or undefined where the folder has no such file */
  readText(path: string): Promise<string | undefined>
}

/** A folder that is open for loading: nobody removes its files meanwhile. */
export interface OpenModelFolder extends ModelFolder {
  /** @returns the file as it is stored, without a copy, or undefined where the folder has no such file */
  readBlob(path: string): Promise<Blob | undefined>
  /** @returns the paths of its files, as far as anybody tells: its hub, what is stored, the visitor's files */
  list(): Promise<readonly string[]>
  /** A folder that turned out to be no model may become one: files that it lacked are looked for again next time. */
  forgetMissing(): Promise<void>
  close(): void
}

/** The files of a place: stored, fetched, or the visitor's own. */
export interface ModelFiles {
  /** Without a copy. Undefined where there is no such file. */
  read(path: string): Promise<Blob | undefined>
  list(): Promise<readonly string[]>
  forgetMissing(): Promise<void>
  close(): void
}

/**
 * Opens a model's folder. What is fetched counts into `onProgress`.
 * Its methods throw RivuletError `download-failed`, `integrity-failed`, `quota-exceeded`, `readJson` also
 * `model-invalid`; or the reason of `signal`.
 */
export async function openModelFolder(
  location: Exclude<ModelLocation, { kind: 'none' }>,
  download: DownloadRequest,
  { onProgress, signal }: { onProgress: (progress: LoadProgress) => void; signal: AbortSignal },
): Promise<OpenModelFolder> {
  const url = location.kind === 'local' ? location.name : location.url
  const files =
    location.kind === 'local'
      ? openLocalFiles(location.files)
      : await openRemoteFiles(location, download, { onProgress: collectProgress(onProgress), signal })

  async function readBlob(path: string): Promise<Blob | undefined> {
    const blob = await files.read(path)
    signal.throwIfAborted()
    return blob
  }

  async function readText(path: string): Promise<string | undefined> {
    const blob = await readBlob(path)
    return blob && readFrom(path, blob.text())
  }

  return {
    url,
    readText,
    readBlob,
    list: files.list,
    async readBytes(path) {
      const blob = await readBlob(path)
      return blob && new Uint8Array(await readFrom(path, blob.arrayBuffer()))
    },
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : parseObject(text, path)
    },
    forgetMissing: files.forgetMissing,
    close: files.close,
  }
}

/** Files that were chosen one by one come without their folders. */
function openLocalFiles(files: ReadonlyMap<string, File>): ModelFiles {
  return {
    forgetMissing: () => Promise.resolve(),
    list: () => Promise.resolve([...files.keys()]),
    read: (path) => Promise.resolve(files.get(path) ?? files.get(path.slice(path.lastIndexOf('/') + 1))),
    close() {},
  }
}

async function readFrom<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    throw new RivuletError(
      'download-failed',
      `${path} could not be read (${describeError(error)}): it was changed or removed meanwhile, or there is no memory for it.`,
      { cause: error },
    )
  }
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new RivuletError('model-invalid', `${path} is not JSON: ${describeError(error)}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RivuletError('model-invalid', `${path} must hold a JSON object.`)
  }
  return value as Record<string, unknown>
}
