import { refuse } from './contract/check-options.js'
import { nameModelUrl, type RemoteLocation } from './contract/model-location.js'
import { defaultHubUrl, locateRemote } from './locate-model.js'
import {
  completeName,
  getDirectory,
  getFile,
  nameModelDirectory,
  nameModelLock,
  prefixFolderName,
  readRecord,
  recordName,
  removeEntry,
  runtimeFolderName,
  runtimePackages,
  storeFolderName,
  usedName,
  type RuntimePackage,
} from './contract/store-layout.js'
import { whenFree } from './contract/when-free.js'

/** What is stored of a model or a runtime. Parts of it may still be missing. */
export interface StoredFiles {
  /** How many bytes are stored. */
  readonly storedBytes: number
  /** The total size of the files whose download was started. */
  readonly totalBytes: number
  /** True if every file whose download was started is stored completely. */
  readonly isComplete: boolean
  /** When the files were last opened, in milliseconds since 1970. */
  readonly lastUsedMs: number
}

/** A model in this browser's store. */
export interface StoredModel extends StoredFiles {
  /** The URL of the model's folder or GGUF file, without a query; `createEngine({ model })` accepts it. */
  readonly model: string
  /** How many bytes the kept prefixes of the model take (`engine.prefill` with `keepPrefix`), in addition to `storedBytes`. */
  readonly prefixBytes: number
}

/** The WebAssembly of a runtime in this browser's store, and what its start leaves: 10 to 41 MB, which all models of a backend share. */
export interface StoredRuntime extends StoredFiles {
  /** The runtime's npm package. */
  readonly runtime: RuntimePackage
}

/** Options of `store.evict`. */
export interface EvictOptions {
  /** The maximum number of bytes to keep, with the models' kept prefixes. The runtimes count only if no model is left. */
  readonly keepBytes: number
}

/**
 * The models that this browser stores for this site, and the runtimes of `onnx()` and `llamaCpp()`. The store is empty if the page has no private file system that works,
 * as on insecure pages and in some private windows, and on a server.
 */
export const store = {
  /** Lists the stored models, the most recently used first. */
  async list(): Promise<readonly StoredModel[]> {
    const found = await listModels()
    return found.map(({ model }) => model).toSorted((a, b) => b.lastUsedMs - a.lastUsedMs)
  },

  /** Lists the stored runtimes, the most recently used first. */
  async listRuntimes(): Promise<readonly StoredRuntime[]> {
    const found = await Promise.all((await listDirectories(runtimeFolderName)).map(describeModels))
    return found
      .flat()
      .flatMap(({ model: { model, ...files } }) => {
        const runtime = findRuntime(model)
        return runtime ? [{ runtime, ...files }] : []
      })
      .toSorted((a, b) => b.lastUsedMs - a.lastUsedMs)
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
   * Removes a model: a GGUF file, with all its parts, or a folder, with all its files and kept prefixes; or a runtime. Waits until no tab is
   * loading a model of the same folder, or the runtime. An engine that has loaded it keeps running. The next engine
   * downloads it again.
   * @param model a URL or name, as for `createEngine`, or as returned by `list`; or a runtime, as returned by `listRuntimes`
   * @returns true if it was stored
   * @throws RivuletError `invalid-option` if `model` is not a model's URL or name; `download-failed` if a file stays open in
   *   another tab for a minute
   */
  async remove(model: string | URL, { hubUrl = defaultHubUrl }: { hubUrl?: string } = {}): Promise<boolean> {
    const runtime = findRuntime(model)
    // Without a store there are also no hashes and no locks: they exist only on secure pages.
    if (runtime)
      return (await openFolder(runtimeFolderName)) ? removeFolder(runtimeFolderName, runtime) : false
    const location = locateRemote(model, globalThis.document?.baseURI, hubUrl)
    if (!(await openFolder(storeFolderName))) return false
    await removePrefixes(location)
    if (location.file === undefined && (await removeFolder(storeFolderName, location.url))) return true
    const file = findFile(location)
    if (file === undefined) return false
    const directory = await nameModelDirectory(file.folderUrl)
    return navigator.locks.request(nameModelLock(directory), () => removeModel(directory, file.modelUrl))
  },

  /**
   * Removes the kept prefixes of a model (`engine.prefill` with `keepPrefix`), which contain the tokens of conversations. The
   * model stays. Waits until no tab is loading the model, or keeping a prefix.
   * @param model a URL or name, as for `createEngine`
   * @returns true if there were any
   * @throws RivuletError as `remove`
   */
  async removePrefixes(
    model: string | URL,
    { hubUrl = defaultHubUrl }: { hubUrl?: string } = {},
  ): Promise<boolean> {
    return removePrefixes(locateRemote(model, globalThis.document?.baseURI, hubUrl))
  },

  /**
   * Removes the least recently used models until the rest takes at most `keepBytes`. If no model is left, and the runtimes
   * take more than `keepBytes`, removes the runtimes too. Skips what is being loaded.
   * @returns the removed models and runtimes
   * @throws RivuletError `invalid-option`; `download-failed` if a file stays open in another tab for a minute
   */
  async evict({ keepBytes }: EvictOptions): Promise<readonly (StoredModel | StoredRuntime)[]> {
    if (typeof keepBytes !== 'number' || !(keepBytes >= 0)) {
      refuse('store.evict(): "keepBytes" must be a number, 0 or more.')
    }
    const found = await listModels()
    const measure = (model: StoredModel) => model.storedBytes + model.prefixBytes
    let storedBytes = found.reduce((sum, { model }) => sum + measure(model), 0)
    const removed: (StoredModel | StoredRuntime)[] = []
    for (const { directory, model } of found.toSorted((a, b) => a.model.lastUsedMs - b.model.lastUsedMs)) {
      if (storedBytes <= keepBytes) break
      const isGone = await navigator.locks.request(nameModelLock(directory), { ifAvailable: true }, (lock) =>
        lock ? removeModel(directory, model.model) : false,
      )
      if (!isGone) continue
      storedBytes -= measure(model)
      removed.push(model)
    }
    if (removed.length < found.length) return removed
    const runtimes = await store.listRuntimes()
    if (runtimes.reduce((sum, runtime) => sum + runtime.storedBytes, 0) <= keepBytes) return removed
    for (const stored of runtimes) {
      const isGone = await removeFolder(runtimeFolderName, stored.runtime, { ifAvailable: true })
      if (isGone) removed.push(stored)
    }
    return removed
  },
}

/** @param name the name of the models' or the runtimes' folder */
async function openFolder(name: string): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await getDirectory(await navigator.storage.getDirectory(), name)
  } catch {
    return undefined
  }
}

async function listDirectories(folder: string): Promise<FileSystemDirectoryHandle[]> {
  const parent = await openFolder(folder)
  return parent ? readDirectories(parent) : []
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
  const [found, prefixes] = await Promise.all(
    [storeFolderName, prefixFolderName].map(async (folder) =>
      (await Promise.all((await listDirectories(folder)).map(describeModels))).flat(),
    ),
  )
  return found!.map(({ directory, model }) => {
    const kept = prefixes!.find((each) => each.model.model === model.model)
    return { directory, model: { ...model, prefixBytes: kept?.model.storedBytes ?? 0 } }
  })
}

/** Files of one model. */
interface FoundFiles {
  readonly directory: string
  readonly model: Omit<StoredModel, 'prefixBytes'>
}

/** Describes the models of a folder: its GGUF files, each on its own, and the model of the other files. */
async function describeModels(directory: FileSystemDirectoryHandle): Promise<readonly FoundFiles[]> {
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

/**
 * Removes all files of a folder of models, or of a runtime.
 * @param storeFolder the name of the folder of models, kept prefixes or runtimes
 * @param folder the URL of the folder of models, or the runtime's package
 * @returns true if such files were stored, and the lock was available
 */
async function removeFolder(
  storeFolder: string,
  folder: string,
  lockOptions: LockOptions = {},
): Promise<boolean> {
  const name = await nameModelDirectory(folder)
  return navigator.locks.request(nameModelLock(name), lockOptions, async (lock) => {
    const parent = lock && (await openFolder(storeFolder))
    if (!parent || !(await getDirectory(parent, name))) return false
    await whenFree(folder, () => removeEntry(parent, name))
    return true
  })
}

/**
 * Removes the kept prefixes of a model.
 * @returns true if there were any
 */
async function removePrefixes({ url }: Pick<RemoteLocation, 'url'>): Promise<boolean> {
  return (await openFolder(prefixFolderName)) ? removeFolder(prefixFolderName, url) : false
}

/** Removes the files and the kept prefixes of one model. @returns true if files of it were stored */
async function removeModel(directoryName: string, modelUrl: string): Promise<boolean> {
  await removeFiles(prefixFolderName, directoryName, modelUrl)
  return removeFiles(storeFolderName, directoryName, modelUrl)
}

/**
 * Removes the files of one model, and the directory if it contains no file of another model.
 * @param storeFolder the name of the folder of models or kept prefixes
 */
async function removeFiles(storeFolder: string, directoryName: string, modelUrl: string): Promise<boolean> {
  const parent = await openFolder(storeFolder)
  const directory = parent && (await getDirectory(parent, directoryName))
  if (!parent || !directory) return false
  let isRemoved = false
  for (const file of await readDirectories(directory)) {
    const record = await readRecord(file)
    if (record?.modelUrl !== modelUrl) continue
    await whenFree(record.path, () => removeEntry(directory, file.name))
    isRemoved ||= !record.isMissing
  }
  if ((await describeModels(directory)).length === 0) {
    await whenFree(modelUrl, () => removeEntry(parent, directoryName))
  }
  return isRemoved
}

function findRuntime(name: string | URL): RuntimePackage | undefined {
  return runtimePackages.find((each) => each === name)
}
