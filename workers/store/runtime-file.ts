import { RivuletError } from '../../lib/contract/errors.js'
import { nameFileLock, runtimeFolderName, type RuntimePackage } from '../../lib/contract/store-layout.js'
import type { CollectProgress } from './collect-progress.js'
import { downloadFile } from './download-file.js'
import type { TransferProgress } from './download-job.js'
import type { StoredFile } from './file-store.js'
import { createMemoryStore } from './memory-store.js'
import { openStore } from './open-store.js'
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

/** How a runtime's file is fetched. */
export interface RuntimeFetch {
  /** The npm package that contains the runtime. Its files are stored together. */
  readonly packageName: RuntimePackage
  readonly progress: CollectProgress
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Returns a runtime's file: from the store, or from `url`. A downloaded file is stored if its hash is known, in place of
 * the file of another version. A stored file that has this hash is used without any request.
 * @throws RivuletError `backend-unavailable` if there is no such file, `integrity-failed` if the file has another hash,
 *   `download-failed`, `quota-exceeded`; the reason of `signal`
 */
export async function fetchRuntimeFile(
  url: string,
  { path, sizeBytes, sha256 }: RuntimeFile,
  { packageName, progress, idleTimeoutMs, signal }: RuntimeFetch,
): Promise<Blob> {
  const { store, directory, close } = await openStore(packageName, runtimeFolderName)
  const unkept = createMemoryStore()
  const report = (each: TransferProgress) =>
    progress.moved(path, { ...each, totalBytes: each.totalBytes ?? sizeBytes })

  async function findStored(): Promise<StoredFile | undefined> {
    const stored = sha256 === undefined ? undefined : await store.open(path)
    return stored?.isComplete && stored.verifiedSha256 === sha256 ? stored : undefined
  }

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
    const fetchFile = async () => (await findStored()) ?? (await download(lock))
    // Tabs share no files in memory: none waits for another tab's download. Insecure pages have no locks, either.
    const file =
      (await findStored()) ??
      (store.isPersistent
        ? await withFileLock(lock, { signal, onProgress: report }, fetchFile)
        : await download(lock))
    const blob = await file.read()
    await file.markUsed()
    progress.stored(path, blob.size)
    return blob
  } finally {
    close()
  }
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
