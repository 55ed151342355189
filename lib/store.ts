import { refuse } from './contract/check-options.js'
import { defaultHubUrl, locateRemote } from './locate-model.js'
import {
  completeName,
  getDirectory,
  getFile,
  nameModelDirectory,
  nameModelLock,
  readRecord,
  removeEntry,
  storeFolderName,
  usedName,
} from './contract/store-layout.js'

/** A model in this browser's store. Parts of the model may still be missing. */
export interface StoredModel {
  /** The URL of the model's folder; `createEngine({ model })` accepts it. */
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
 * The models that this browser stores for this site. The store is empty if the page has no private file system, as on
 * insecure pages and in some private windows.
 */
export const store = {
  /** Lists the stored models, the most recently used first. */
  async list(): Promise<readonly StoredModel[]> {
    const models = await Promise.all((await listDirectories()).map(describeModel))
    return models.filter((model) => model !== undefined).toSorted((a, b) => b.lastUsedMs - a.lastUsedMs)
  },

  /**
   * Returns the URL under which `list` shows a model, whether it is stored or not.
   * @param model a URL or name, as for `createEngine`
   * @returns the URL of the model's folder
   * @throws RivuletError `invalid-option` if `model` is not a model's URL or name
   */
  locate(model: string | URL, { hubUrl = defaultHubUrl }: { hubUrl?: string } = {}): string {
    return locateRemote(model, document.baseURI, hubUrl).url
  },

  /**
   * Removes a model. Waits until no tab is loading the model. An engine that has loaded the model keeps running.
   * @param model a URL or name, as for `createEngine`, or as returned by `list`
   * @returns true if the model was stored
   * @throws RivuletError `invalid-option` if `model` is not a model's URL or name
   */
  async remove(model: string | URL, { hubUrl = defaultHubUrl }: { hubUrl?: string } = {}): Promise<boolean> {
    const name = await nameModelDirectory(store.locate(model, { hubUrl }))
    return navigator.locks.request(nameModelLock(name), () => removeModel(name))
  },

  /**
   * Removes the least recently used models until the rest takes at most `keepBytes`. Skips models that are being loaded.
   * @returns the removed models
   * @throws RivuletError `invalid-option`
   */
  async evict({ keepBytes }: EvictOptions): Promise<readonly StoredModel[]> {
    if (typeof keepBytes !== 'number' || !(keepBytes >= 0)) {
      refuse('store.evict(): "keepBytes" must be a number, 0 or more.')
    }
    const models = await store.list()
    let storedBytes = models.reduce((sum, model) => sum + model.storedBytes, 0)
    const removed: StoredModel[] = []
    for (const model of models.toReversed()) {
      if (storedBytes <= keepBytes) break
      const name = await nameModelDirectory(model.model)
      const isGone = await navigator.locks.request(nameModelLock(name), { ifAvailable: true }, (lock) =>
        lock ? removeModel(name) : false,
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

async function describeModel(directory: FileSystemDirectoryHandle): Promise<StoredModel | undefined> {
  const files = await Promise.all((await readDirectories(directory)).map(describeFile))
  const known = files.filter((file) => file !== undefined)
  const first = known.find((file) => !file.isMissing)
  if (!first) return undefined
  const used = await getFile(directory, usedName)
  return {
    model: first.folderUrl,
    storedBytes: known.reduce((sum, file) => sum + file.storedBytes, 0),
    totalBytes: known.reduce((sum, file) => sum + file.totalBytes, 0),
    isComplete: known.every((file) => file.isComplete),
    lastUsedMs: used?.lastModified ?? 0,
  }
}

async function describeFile(directory: FileSystemDirectoryHandle) {
  const record = await readRecord(directory)
  if (!record) return undefined
  let storedBytes = 0
  let isComplete = false
  for await (const entry of directory.values()) {
    if (entry.name === completeName) isComplete = true
    else if (/^\d+$/.test(entry.name)) storedBytes += (await getFile(directory, entry.name))?.size ?? 0
  }
  const { folderUrl, isMissing } = record
  return { folderUrl, isMissing, storedBytes, totalBytes: record.sizeBytes ?? 0, isComplete }
}

async function removeModel(name: string): Promise<boolean> {
  const models = await openModels()
  if (!models || !(await getDirectory(models, name))) return false
  await removeEntry(models, name)
  return true
}
