import { refuse } from './contract/check-options.js'
import { nameModelUrl, type RemoteLocation } from './contract/model-location.js'
import { defaultHubUrl, locateRemote } from './locate-model.js'
import {
  completeName,
  getDirectory,
  getFile,
  nameModelDirectory,
  nameModelLock,
  readRecord,
  recordName,
  removeEntry,
  storeFolderName,
  usedName,
} from './contract/store-layout.js'
import { whenFree } from './contract/when-free.js'

/** A model in this browser's store. Parts of the model may still be missing. */
export interface StoredModel {
  /** The URL of the model's folder or GGUF file, without a query; `createEngine({ model })` accepts it. */
  readonly model: string
  /** How many bytes of the model are stored. */
  readonly storedBytes: number
  /** The total size of the files whose download was started. */
  readonly totalBytes: number
  /** True if every file whose download was started is stored completely. */
  readonly isComplete: boolean
  /** When the model was last opened, in milliseconds since 1970. */
  readonly lastUsedMs: number
}

/** Options of `store.evict`. */
export interface EvictOptions {
  /** The maximum number of bytes to keep. */
  readonly keepBytes: number
}

/**
 * The models that this browser stores for this site. The store is empty if the page has no private file system that works,
 * as on insecure pages and in some private windows, and on a server.
 */
export const store = {
  /** Lists the stored models, the most recently used first. */
  async list(): Promise<readonly StoredModel[]> {
    const found = await listModels()
    return found.map(({ model }) => model).toSorted((a, b) => b.lastUsedMs - a.lastUsedMs)
  },

  /**
   * Returns the URL under which `list` shows a model, whether it is stored or not. Two addresses of a model that differ only
   * in their queries, such as signatures, are the same model.
   * @param model a URL or name, as for `createEngine`
   * @returns the URL of the model's folder or GGUF file; of the first part, if a GGUF file is split
   * @throws RivuletError `invalid-option` if `model` is not a model's URL or name
   */
  locate(model: string | URL, { hubUrl = defaultHubUrl }: { hubUrl?: string } = {}): string {
    return nameModelUrl(locateRemote(model, globalThis.document?.baseURI, hubUrl))
  },

  /**
   * Removes a model: a GGUF file, with all its parts, or a folder, with all its files. Waits until no tab is loading a model
   * of the same folder. An engine that has loaded the model keeps running.
   * @param model a URL or name, as for `createEngine`, or as returned by `list`
   * @returns true if the model was stored
   * @throws RivuletError `invalid-option` if `model` is not a model's URL or name; `download-failed` if a file stays open in
   *   another tab for a minute
   */
  async remove(model: string | URL, { hubUrl = defaultHubUrl }: { hubUrl?: string } = {}): Promise<boolean> {
    const location = locateRemote(model, globalThis.document?.baseURI, hubUrl)
    // Without a store there are also no hashes and no locks: they exist only on secure pages.
    if (!(await openModels())) return false
    if (location.file === undefined && (await removeFolder(location.url))) return true
    const file = findFile(location)
    if (file === undefined) return false
    const directory = await nameModelDirectory(file.folderUrl)
    return navigator.locks.request(nameModelLock(directory), () => removeModel(directory, file.modelUrl))
  },

  /**
   * Removes the least recently used models until the rest takes at most `keepBytes`. Skips models that are being loaded.
   * @returns the removed models
   * @throws RivuletError `invalid-option`; `download-failed` if a file stays open in another tab for a minute
   */
  async evict({ keepBytes }: EvictOptions): Promise<readonly StoredModel[]> {
    if (typeof keepBytes !== 'number' || !(keepBytes >= 0)) {
      refuse('store.evict(): "keepBytes" must be a number, 0 or more.')
    }
    const found = await listModels()
    let storedBytes = found.reduce((sum, { model }) => sum + model.storedBytes, 0)
    const removed: StoredModel[] = []
    for (const { directory, model } of found.toSorted((a, b) => a.model.lastUsedMs - b.model.lastUsedMs)) {
      if (storedBytes <= keepBytes) break
      const isGone = await navigator.locks.request(nameModelLock(directory), { ifAvailable: true }, (lock) =>
        lock ? removeModel(directory, model.model) : false,
      )
      if (!isGone) continue
      storedBytes -= model.storedBytes
      removed.push(model)
    }
    return removed
  },
}

async function openModels(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await getDirectory(await navigator.storage.getDirectory(), storeFolderName)
  } catch {
    return undefined
  }
}

async function listDirectories(): Promise<FileSystemDirectoryHandle[]> {
  const models = await openModels()
  return models ? readDirectories(models) : []
}

async function readDirectories(parent: FileSystemDirectoryHandle): Promise<FileSystemDirectoryHandle[]> {
  const found: FileSystemDirectoryHandle[] = []
  for await (const entry of parent.values()) {
    if (entry.kind === 'directory') found.push(entry as FileSystemDirectoryHandle)
  }
  return found
}

interface FoundModel {
  /** The name of the store's directory that contains the model's files. */
  readonly directory: string
  readonly model: StoredModel
}

async function listModels(): Promise<readonly FoundModel[]> {
  return (await Promise.all((await listDirectories()).map(describeModels))).flat()
}

/** Describes the models of a folder: its GGUF files, each on its own, and the model of the other files. */
async function describeModels(directory: FileSystemDirectoryHandle): Promise<readonly FoundModel[]> {
  const files = await Promise.all((await readDirectories(directory)).map(describeFile))
  const models = new Map<string, NonNullable<(typeof files)[number]>[]>()
  for (const file of files) {
    if (!file || file.isMissing) continue
    models.set(file.modelUrl, [...(models.get(file.modelUrl) ?? []), file])
  }
  return [...models].map(([model, known]) => ({
    directory: directory.name,
    model: {
      model,
      storedBytes: known.reduce((sum, file) => sum + file.storedBytes, 0),
      totalBytes: known.reduce((sum, file) => sum + file.totalBytes, 0),
      isComplete: known.every((file) => file.isComplete),
      lastUsedMs: Math.max(...known.map((file) => file.lastUsedMs)),
    },
  }))
}

async function describeFile(directory: FileSystemDirectoryHandle) {
  const record = await readRecord(directory)
  if (!record) return undefined
  let storedBytes = 0
  let isComplete = false
  let lastUsedMs = 0
  for await (const { name } of directory.values()) {
    if (name === completeName) isComplete = true
    else if (name === usedName || name === recordName) {
      lastUsedMs = Math.max(lastUsedMs, (await getFile(directory, name))?.lastModified ?? 0)
    } else if (/^\d+$/.test(name)) storedBytes += (await getFile(directory, name))?.size ?? 0
  }
  const { modelUrl, isMissing } = record
  return { modelUrl, isMissing, storedBytes, totalBytes: record.sizeBytes ?? 0, isComplete, lastUsedMs }
}

/**
 * Returns a model that is a single file, and its folder. A URL without `.gguf` is a folder or a file with another name.
 * @returns undefined for a URL that cannot be a file
 */
function findFile(
  location: RemoteLocation,
): { readonly folderUrl: string; readonly modelUrl: string } | undefined {
  if (location.file !== undefined) return { folderUrl: location.url, modelUrl: nameModelUrl(location) }
  const folderUrl = new URL('../', location.url).href
  return folderUrl === location.url ? undefined : { folderUrl, modelUrl: location.url.slice(0, -1) }
}

/** Removes all files of a folder. @returns true if files of the folder were stored */
async function removeFolder(folderUrl: string): Promise<boolean> {
  const name = await nameModelDirectory(folderUrl)
  return navigator.locks.request(nameModelLock(name), async () => {
    const models = await openModels()
    if (!models || !(await getDirectory(models, name))) return false
    await whenFree(folderUrl, () => removeEntry(models, name))
    return true
  })
}

/** Removes the files of one model, and the folder's directory if it contains no other model. */
async function removeModel(directoryName: string, modelUrl: string): Promise<boolean> {
  const models = await openModels()
  const directory = models && (await getDirectory(models, directoryName))
  if (!models || !directory) return false
  let isRemoved = false
  for (const file of await readDirectories(directory)) {
    const record = await readRecord(file)
    if (record?.modelUrl !== modelUrl) continue
    await whenFree(record.path, () => removeEntry(directory, file.name))
    isRemoved ||= !record.isMissing
  }
  if ((await describeModels(directory)).length === 0) {
    await whenFree(modelUrl, () => removeEntry(models, directoryName))
  }
  return isRemoved
}
