import { RivuletError } from '../../lib/contract/errors.js'
import {
  nameFileLock,
  runtimeFolderName,
  toHex,
  type RuntimePackage,
} from '../../lib/contract/store-layout.js'
import type { CollectProgress } from './collect-progress.js'
import { downloadFile } from './download-file.js'
import type { TransferProgress } from './download-job.js'
import type { StoredFile } from './file-store.js'
import { createMemoryStore } from './memory-store.js'
import { openStore, type OpenStore } from './open-store.js'
import { shareProgress } from './share-progress.js'
import { withFileLock } from './with-file-lock.js'

/** A runtime's WebAssembly file. */
export interface RuntimeFile {
  /** The name of the file, for the progress and the store. */
  readonly path: string
  readonly sizeBytes?: number
  /** The SHA-256 that the file must have; undefined if it is unknown. Such a file is not stored. */
  readonly sha256?: string
}

/** The store of a runtime, and what it has of the runtime's file. */
export interface OpenRuntime extends OpenStore {
  readonly stored: StoredFile | undefined
  /** The bytes of `stored` if it is complete, as they were when the store was opened: they cannot be read after a change. */
  readonly blob: Blob | undefined
}

/**
 * Opens the store of a runtime.
 * @param packageName the npm package that contains the runtime. Its files are stored together.
 * @param path the runtime's file
 */
export async function openRuntime(packageName: RuntimePackage, path: string): Promise<OpenRuntime> {
  const opened = await openStore(packageName, runtimeFolderName)
  try {
    const stored = await opened.store.open(path)
    return { ...opened, stored, blob: stored?.isComplete ? await stored.read() : undefined }
  } catch {
    return { ...opened, stored: undefined, blob: undefined }
  }
}

/** How a runtime's file is fetched. */
export interface RuntimeFetch {
  readonly packageName: RuntimePackage
  /**
   * True if the browser's HTTP cache also gets the file, and is asked for it at later loads. Chromium keeps the compiled code of
   * WebAssembly only for such a file: compiling it again takes a fifth of the time to load a small model. @default false
   */
  readonly usesHttpCache?: boolean
  readonly progress: CollectProgress
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
}

/** The content of a runtime's file. */
export interface RuntimeContent {
  /** The bytes, whose hash was compared if it is known. */
  readonly blob: Blob
  /** The answer of the browser's HTTP cache, if it has the file. */
  readonly cached?: CachedFile | undefined
}

/** A file from the browser's HTTP cache. */
interface CachedFile {
  readonly response: Response
  /** Rejects if the bytes of `response` are not those of the file. What is compiled from them must not run before. */
  readonly verified: Promise<void>
}

/**
 * Returns a runtime's file: from the store, or from `url`. A downloaded file is stored if its hash is known, in place of the file
 * of another version. A stored file that has this hash is used, and the server gets no request for its bytes. Closes the store.
 * @throws RivuletError `backend-unavailable` if there is no such file, `integrity-failed` if the file has another hash,
 *   `download-failed`, `quota-exceeded`; the reason of `signal`
 */
export async function fetchRuntimeFile(
  url: string,
  { path, sizeBytes, sha256 }: RuntimeFile,
  { store, directory, close, stored: found, blob: foundBlob }: OpenRuntime,
  { packageName, usesHttpCache = false, progress, idleTimeoutMs, signal }: RuntimeFetch,
): Promise<RuntimeContent> {
  const unkept = createMemoryStore()
  const report = (each: TransferProgress) =>
    progress.moved(path, { ...each, totalBytes: each.totalBytes ?? sizeBytes })

  const choose = (stored: StoredFile | undefined) =>
    sha256 !== undefined && stored?.isComplete && stored.verifiedSha256 === sha256 ? stored : undefined

  async function download(lock: string): Promise<StoredFile> {
    const sharing = shareProgress(lock)
    try {
      const downloaded = await downloadFile(
        {
          folderUrl: packageName,
          modelUrl: packageName,
          path,
          url,
          // Servers compress WebAssembly to a quarter, but not in ranges.
          isSmall: true,
          // Without the size: another version is then refused for its hash, after one request.
          known: { sizeBytes: undefined, sha256 },
          objectId: undefined,
          segmentBytes: sizeBytes ?? 1,
          headers: {},
          cache: usesHttpCache ? 'reload' : 'no-store',
          idleTimeoutMs,
          signal,
          onProgress(each) {
            report(each)
            sharing.post(each)
          },
          isServerUp: () => Promise.resolve(false),
        },
        { kept: sha256 === undefined ? unkept : store, unkept },
      )
      if (downloaded) return downloaded
    } catch (error) {
      throw explainFailure(error, url, packageName)
    } finally {
      sharing.end()
    }
    throw new RivuletError(
      'backend-unavailable',
      `The runtime's WebAssembly was not found at ${url}. ${advice}`,
    )
  }

  try {
    const lock = nameFileLock(directory, path)
    const fetchFile = async () => choose(await store.open(path)) ?? (await download(lock))
    const stored = choose(found)
    const cached = stored && usesHttpCache ? await findInHttpCache(url, stored, signal) : undefined
    // Tabs share no files in memory: none waits for another tab's download. Insecure pages have no locks, either.
    const file =
      stored ??
      (store.isPersistent
        ? await withFileLock(lock, { signal, onProgress: report }, fetchFile)
        : await download(lock))
    const blob = stored && foundBlob ? foundBlob : await file.read()
    progress.stored(path, blob.size)
    // Not awaited: nothing of this load depends on it.
    void file
      .markUsed()
      .catch(() => {})
      .finally(close)
    return { blob, cached }
  } catch (error) {
    close()
    throw error
  }
}

/** A disk that needs more time is slower than a compilation. */
const httpCacheTimeoutMs = 2_000

/**
 * Returns a stored file from the browser's HTTP cache.
 * @returns undefined if the cache does not have it, or if its media type does not let the browser compile it
 */
async function findInHttpCache(
  url: string,
  stored: StoredFile,
  signal: AbortSignal,
): Promise<CachedFile | undefined> {
  // A page cannot ask for the files of another origin. Without a network, a miss would be an error in the console.
  if (new URL(url).origin !== self.location.origin || !navigator.onLine) return undefined
  const request = new AbortController()
  const abort = () => request.abort()
  // Not `AbortSignal.timeout`, which cannot be stopped.
  const timeout = setTimeout(abort, httpCacheTimeoutMs)
  signal.addEventListener('abort', abort)
  const stopWaiting = () => {
    clearTimeout(timeout)
    signal.removeEventListener('abort', abort)
  }

  async function verify(response: Response): Promise<void> {
    try {
      if (await hasHash(response, stored.verifiedSha256!)) return
    } finally {
      stopWaiting()
    }
    await stored.noteHttpCacheMiss().catch(() => {})
    throw new Error(`The browser's HTTP cache has another version of ${url}.`)
  }

  try {
    const isCached = (await stored.mayBeInHttpCache()) && (await isInHttpCache(url, request.signal))
    const response = isCached ? await requestCached(url, request.signal) : undefined
    if (response) {
      const verified = verify(response.clone())
      // The compilation reports it.
      verified.catch(() => {})
      return { response, verified }
    }
    if (!request.signal.aborted) await stored.noteHttpCacheMiss()
  } catch {
    // The server or the disk does not answer: whether the HTTP cache has the file is not known.
  }
  stopWaiting()
  return undefined
}

/** @returns undefined if the HTTP cache has lost the file */
function requestCached(url: string, signal: AbortSignal): Promise<Response | undefined> {
  return fetch(url, { cache: 'only-if-cached', mode: 'same-origin', signal }).catch(() => undefined)
}

async function hasHash(response: Response, sha256: string): Promise<boolean> {
  return toHex(await crypto.subtle.digest('SHA-256', await response.arrayBuffer())) === sha256
}

/**
 * Asks with a `HEAD` request, because a miss of `only-if-cached` is an error in the browser's console.
 * @throws Error if the browser does not say where the answer comes from
 */
async function isInHttpCache(url: string, signal: AbortSignal): Promise<boolean> {
  const listTimings = () => performance.getEntriesByName(url) as PerformanceResourceTiming[]
  const earlier = listTimings().length
  const response = await fetch(url, { method: 'HEAD', cache: 'force-cache', signal })
  // An unread body would count as a cancelled request.
  await response.arrayBuffer()
  const timing = listTimings()[earlier]
  if (!timing) throw new Error('The browser has no timing of the request.')
  const isWasm = /^application\/wasm\b/.test(response.headers.get('content-type') ?? '')
  return response.ok && isWasm && timing.transferSize === 0
}

const advice = "Serve the file of the installed version there, or pass its URL in the backend's options."

function explainFailure(error: unknown, url: string, packageName: string): unknown {
  if (!(error instanceof RivuletError) || error.code !== 'integrity-failed') return error
  const { expected, got } = error.details as { readonly expected?: string; readonly got?: string }
  return new RivuletError(
    'integrity-failed',
    `The SHA-256 of ${url} is ${got}, but the file of the supported version of ${packageName} has ${expected}. ${advice}`,
    { details: error.details, cause: error },
  )
}
