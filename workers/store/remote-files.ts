import type { DownloadRequest } from '../../lib/contract/download-request.js'
import { RivuletError, asRivuletError } from '../../lib/contract/errors.js'
import { nameModelUrl, type RemoteLocation } from '../../lib/contract/model-location.js'
import { countSegments, nameFileLock, type FileRecord } from '../../lib/contract/store-layout.js'
import { askHead, type HeadAnswer } from './ask-head.js'
import type { CollectProgress } from './collect-progress.js'
import { downloadFile } from './download-file.js'
import type { TransferProgress } from './download-job.js'
import type { StoredFile } from './file-store.js'
import {
  fetchListing,
  findListed,
  type FolderListing,
  type ListedFile,
  type ListingAnswer,
} from './folder-listing.js'
import { watchPresence } from './folder-presence.js'
import { createMemoryStore } from './memory-store.js'
import type { FileSize, ModelFiles } from './model-folder.js'
import { openStore } from './open-store.js'
import { createUnknownFileError, locateFile } from './pinned-hashes.js'
import { readFrom } from './read-from.js'
import { isRefusal, nameVersion, requestRange } from './request-range.js'
import { retry } from './retry.js'
import { NoRoomError } from './room.js'
import { hashSegments } from './sha256.js'
import { shareProgress } from './share-progress.js'
import { withFileLock } from './with-file-lock.js'

/** How long a server may take to report whether a stored file has changed; after that, the stored file is used. */
const revalidationTimeoutMs = 3000

/** The size of a segment. It is small enough that a file of a hundred megabytes uses several connections. */
const segmentBytes = 16 * 2 ** 20

/**
 * Opens the files of a remote folder. Downloaded files are stored in this browser. When several tabs need a file, one tab
 * downloads the file for all of them.
 * @throws RivuletError `invalid-option` if there is a hash for a file that the folder does not have, `download-failed`
 */
export async function openRemoteFiles(
  location: RemoteLocation,
  { headers, sha256: pinned, revalidate, idleTimeoutMs }: DownloadRequest,
  { onProgress, signal }: { onProgress: CollectProgress; signal: AbortSignal },
): Promise<ModelFiles> {
  const { store: kept, directory, close } = await openStore(location.url)
  const unkept = createMemoryStore()
  // A request that can only fail would be an error in the console. This machine can be reached without a network.
  const isOffline = globalThis.navigator?.onLine === false && !isThisMachine(location.url)
  const mayHaveChanged = revalidate && !isOffline && !(location.kind === 'hub' && location.isCommit)
  /** The folder's listing. It is fetched at most once, and not at all when all files are stored and need no revalidation. */
  let listing: Promise<ListingAnswer> | undefined
  const askListing = () => {
    if (location.listingUrl === undefined) return undefined
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(idleTimeoutMs)])
    return (listing ??= fetchListing(location.listingUrl, headers, timeout))
  }
  /** Returns the listed files; undefined without a valid listing: files are then requested one by one. */
  async function list(): Promise<FolderListing | undefined> {
    const answer = await askListing()
    return answer?.kind === 'listed' ? answer.files : undefined
  }
  const presence = watchPresence()
  /** Why the server did not send files that count as missing, by path. */
  const refusals = new Map<string, string>()
  /** The files that the server does not have. Each promise settles when the record of the missing file is written. */
  const missing = new Map<string, Promise<void>>()
  /** True after a call of `explainMissing`: reads that are still running then record no more missing files. */
  let isForgetting = false

  const pins = new Map(Object.entries(pinned).map(([path, hash]) => [locateFile(path, location.url), hash]))
  const readPin = (path: string) => pins.get(locateFile(path, location.url))
  const query = location.kind === 'folder' ? (location.query ?? '') : ''
  /** Returns the address of a file. Characters of a path that would end a URL's path are escaped. */
  const addressOf = (path: string) =>
    new URL(path.replaceAll(/[?#]|%(?![0-9a-f]{2})/gi, encodeURIComponent), location.url).href + query

  /** Checks that the folder has a file for each hash in `download.sha256`. @throws RivuletError `invalid-option` if not */
  async function checkPins(): Promise<void> {
    await Promise.all(
      Object.keys(pinned).map(async (path) => {
        const address = locateFile(path, location.url)
        if (address !== undefined && (await hasFile(path, address))) return
        throw createUnknownFileError(path, location.url, await listKnown())
      }),
    )
  }

  /**
   * Returns true if the folder has the file. Also returns true if the server cannot be reached, a part of the model is
   * stored, and the file is not recorded as missing: with hashes for several variants of a model, only one variant is
   * stored, and this variant must open offline.
   */
  async function hasFile(path: string, address: string): Promise<boolean> {
    const stored = await kept.open(path)
    if (stored && !stored.record.isMissing) return true
    if (stored && !mayHaveChanged) return false
    const isModelStored = (await listStored()).length > 0
    const listed = await (isModelStored ? Promise.race([list(), wait(revalidationTimeoutMs)]) : list())
    if (listed) return [...listed.keys()].some((each) => locateFile(each, location.url) === address)
    const head = await askServer(path, 'any')
    if (head.kind !== 'unknown') return head.kind === 'file'
    const request = { url: addressOf(path), first: 0, last: 0, headers, idleTimeoutMs, signal }
    try {
      const answer = await (isModelStored
        ? requestRange({ ...request, idleTimeoutMs: revalidationTimeoutMs })
        : retry({ signal }, () => requestRange(request)))
      answer?.end()
      return answer !== undefined
    } catch (error) {
      signal.throwIfAborted()
      if (isModelStored) return !stored
      throw error
    }
  }

  /** Returns the paths of files that are stored completely or partly. */
  async function listStored(): Promise<readonly string[]> {
    const files = await Promise.all((await kept.list()).map(kept.open))
    return files.flatMap((file) => (file && !file.record.isMissing ? [file.record.path] : []))
  }

  /** Returns the paths to show in an error. */
  async function listKnown(): Promise<readonly string[]> {
    const named = location.file === undefined ? [] : [location.file]
    return [...new Set((await list())?.keys() ?? [...(await listStored()), ...named])]
  }

  function read(path: string, size: FileSize = 'any'): Promise<Blob | undefined> {
    return readWith(path, size, (file) => file.read())
  }

  function readWith<Content>(
    path: string,
    size: FileSize,
    readContent: (file: StoredFile) => Promise<Content>,
  ): Promise<Content | undefined> {
    return presence.during(path, async () => {
      try {
        const file = await readFile(path, size)
        return file && (await readContent(file))
      } catch (error) {
        if (isRefusal(error) && !(await isKnown(path)) && (await presence.find()) !== undefined) {
          refusals.set(path, error.message)
          await noteMissing(path)
          return undefined
        }
        signal.throwIfAborted()
        const failure = asRivuletError(error, 'download-failed', `The stored file ${path} could not be used`)
        throw failure.code === 'download-failed' ? addReasons('download-failed', failure, []) : failure
      }
    })
  }

  /** Returns true if the folder is known to have the file: it is listed, or a part of it is stored. */
  async function isKnown(path: string): Promise<boolean> {
    const [stored, listed] = await Promise.all([kept.open(path), list()])
    return stored?.record.isMissing === false || (listed && findListed(listed, path)) !== undefined
  }

  /** Adds what is known about the server to an error. */
  function addReasons(
    code: 'download-failed' | 'model-not-found',
    error: RivuletError,
    reasons: readonly string[],
  ): RivuletError {
    const isHubName = location.kind === 'hub' && presence.knownPath === undefined
    const hint = isHubName
      ? `"${location.name}" is the name of a model on the hub ${new URL(location.url).origin}. For a folder on your server, write "./${location.name}".`
      : []
    return new RivuletError(code, [error.message, ...reasons, hint].flat().join(' '), { cause: error.cause })
  }

  async function readFile(path: string, size: FileSize): Promise<StoredFile | undefined> {
    const stored = await kept.open(path)
    if (stored && (await isGood(stored, size))) return readStored(path, stored)
    const lock = nameFileLock(directory, path)
    // Tabs share no files in memory: none waits for another tab's download.
    if (!kept.isPersistent) return fetchFile(path, size, lock)
    const watch = { signal, onProgress: (progress: TransferProgress) => onProgress.moved(path, progress) }
    return withFileLock(lock, watch, async (hasWaited) => {
      // The tab that held the lock before may have downloaded the file.
      const fetched = hasWaited ? await kept.open(path) : undefined
      return fetched && (await isGood(fetched, size))
        ? readStored(path, fetched)
        : fetchFile(path, size, lock)
    })
  }

  async function readStored(path: string, file: StoredFile): Promise<StoredFile | undefined> {
    const { isMissing, sizeBytes = 0 } = file.record
    if (isMissing) missing.set(path, Promise.resolve())
    if (isMissing) return undefined
    onProgress.stored(path, sizeBytes)
    // The file can be read, even if nothing can be written now.
    await file.markUsed().catch(() => {})
    return file
  }

  async function isGood(file: StoredFile, size: FileSize): Promise<boolean> {
    if (!file.isComplete) return false
    const { record } = file
    const pin = readPin(record.path)
    if (pin !== undefined && !record.isMissing && !(await hasHash(file, pin))) return false
    return !mayHaveChanged || (await isCurrent(record, size))
  }

  async function isCurrent(record: FileRecord, size: FileSize): Promise<boolean> {
    if (location.listingUrl === undefined) return isUnchanged(record, size)
    const listed = await Promise.race([list(), wait(revalidationTimeoutMs)])
    // Without an answer, the stored file is used.
    if (!listed) return true
    const file = findListed(listed, record.path)
    if (record.isMissing || !file) return record.isMissing === !file
    return file.objectId === undefined ? isUnchanged(record, size) : file.objectId === record.objectId
  }

  async function isUnchanged(
    { path, isMissing, validator, sizeBytes }: FileRecord,
    size: FileSize,
  ): Promise<boolean> {
    const head = await askServer(path, size)
    // The browser is offline, the file is gone or forbidden, or a network's login page answered: use the stored file.
    if (head.kind !== 'file') return true
    if (isMissing) return false
    const version = size === 'small' ? nameVersion(head) : head.validator
    if (version !== undefined && validator !== undefined) return version === validator
    return (head.sizeBytes ?? sizeBytes) === sizeBytes
  }

  async function askServer(path: string, size: FileSize): Promise<HeadAnswer> {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(revalidationTimeoutMs)])
    const answer = await askHead({
      url: addressOf(path),
      headers,
      isSmall: size === 'small',
      signal: timeout,
    })
    signal.throwIfAborted()
    return answer
  }

  /** Returns true if the folder's server answers, and the listing does not contain this file. */
  async function isServerUp(known: ListedFile | undefined): Promise<boolean> {
    if (known) return false
    if ((await askListing())?.kind === 'refused') return true
    const path = await presence.find()
    // Without a range: a compressed file could not be asked about with one.
    return path !== undefined && (await askServer(path, 'small')).kind === 'file'
  }

  async function fetchFile(path: string, size: FileSize, lock: string): Promise<StoredFile | undefined> {
    const listed = await list()
    const known = listed && findListed(listed, path)
    const sharing = shareProgress(lock)
    try {
      const file =
        listed && !known
          ? undefined
          : await downloadFile(
              {
                folderUrl: location.url,
                modelUrl: nameModelUrl(location, path),
                path,
                url: addressOf(path),
                isSmall: size === 'small',
                known: { sizeBytes: known?.sizeBytes, sha256: readPin(path) ?? known?.sha256 },
                objectId: known?.objectId,
                segmentBytes,
                headers,
                idleTimeoutMs,
                signal,
                onProgress(progress) {
                  onProgress.moved(path, progress)
                  sharing.post(progress)
                },
                isServerUp: () => isServerUp(known),
              },
              { kept, unkept },
            )
      if (!file) {
        await noteMissing(path)
        return undefined
      }
      await file.markUsed()
      return file
    } finally {
      sharing.end()
    }
  }

  async function noteMissing(path: string): Promise<void> {
    if (isForgetting) return
    const writing = recordMissing(path).catch((error: unknown) => {
      // Without the record, the next load asks the server again.
      if (!(error instanceof NoRoomError)) throw error
    })
    missing.set(path, writing)
    await writing
  }

  async function recordMissing(path: string): Promise<void> {
    const record = await kept.create({
      folderUrl: location.url,
      modelUrl: nameModelUrl(location, path),
      path,
      isMissing: true,
      sizeBytes: undefined,
      segmentBytes: 1,
      validator: undefined,
      objectId: undefined,
      sha256: undefined,
    })
    await record.complete(undefined)
  }

  try {
    await checkPins()
  } catch (error) {
    close()
    throw error
  }
  return {
    read,
    openFile: (path) => readWith(path, 'any', (file) => readFrom(path, file.openToRead())),
    close,
    async has(path) {
      const address = locateFile(path, location.url)
      return address !== undefined && !refusals.has(path) && hasFile(path, address)
    },
    list: async () => [...((await list())?.keys() ?? (await listStored()))],
    async readVersion(path) {
      const file = kept.isPersistent ? await kept.open(path) : undefined
      if (!file?.isComplete) return undefined
      const { objectId, validator, sizeBytes } = file.record
      // The record never changes. A hash of a file without a server's version can be computed later, but then stays.
      const version = objectId ?? validator ?? file.verifiedSha256
      return version === undefined ? undefined : JSON.stringify([version, sizeBytes])
    },
    async explainMissing(notFound) {
      isForgetting = true
      await Promise.allSettled(missing.values())
      await Promise.all([...missing.keys()].map(kept.remove))
      return addReasons('model-not-found', notFound, [...refusals.values()].slice(0, 3))
    },
  }
}

function isThisMachine(url: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname)
}

async function hasHash(file: StoredFile, sha256: string): Promise<boolean> {
  if (file.verifiedSha256 === undefined) {
    const segments = Array.from({ length: countSegments(file.record) }, () => Promise.resolve())
    await file.complete(await hashSegments(file, segments))
  }
  return file.verifiedSha256 === sha256
}

function wait(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms))
}
