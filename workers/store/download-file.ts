import { RivuletError, asRivuletError } from '../../lib/contract/errors.js'
import { countSegments, measureSegment, type FileRecord } from '../../lib/contract/store-layout.js'
import { pause } from '../http-retry.js'
import type { FileStore, SegmentWriter, StoredFile } from './file-store.js'
import {
  FileChangedError,
  TransferError,
  requestRange,
  type FileFacts,
  type RangeAnswer,
} from './request-range.js'
import { NoRoomError, createQuotaError } from './room.js'
import { hashSegments } from './sha256.js'

/** The limit per file. Several connections are faster if the server limits each one; servers refuse too many. */
const maxConnections = 4
/** A download fails after this many attempts in a row that received no byte. */
const maxFruitlessAttempts = 5
/** The pause before the second attempt. The pause doubles with each further attempt. */
const firstPauseMs = 250
/** How many times a download is started when the file keeps changing on the server. */
const maxStarts = 3

/** A file to download, and what is already known about it. */
export interface DownloadJob {
  readonly folderUrl: string
  readonly path: string
  /** The size and hash from `download.sha256` or a hub's listing. The server's answer adds the facts that are missing. */
  readonly known: Omit<FileFacts, 'validator'>
  readonly objectId: string | undefined
  /** The size of the range that one request asks for, if the server supports range requests. */
  readonly segmentBytes: number
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly signal: AbortSignal
  onProgress(progress: TransferProgress): void
}

export interface TransferProgress {
  readonly phase: 'download' | 'verify'
  readonly loadedBytes: number
  readonly totalBytes: number | undefined
}

/** The stores that a download can be written to. */
export interface DownloadStores {
  readonly kept: FileStore
  /** For files of unknown length: they cannot be checked, so they are used for this load only. */
  readonly unkept: FileStore
}

/**
 * Downloads a file into a store, or resumes an earlier download. Segments are downloaded in parallel if the server supports
 * range requests. A broken connection is retried. If the file changes on the server, the download starts again from the
 * first byte. The file's length is checked, and its SHA-256 if it is known. The caller must hold the file's lock.
 * @returns the complete file, or undefined if the server does not have it
 * @throws RivuletError `download-failed`, `integrity-failed`, `quota-exceeded`; the reason of `signal`
 */
export async function downloadFile(
  job: DownloadJob,
  stores: DownloadStores,
): Promise<StoredFile | undefined> {
  let damage: RivuletError | undefined
  for (let starts = 1; ; starts += 1) {
    try {
      return await transfer(job, stores)
    } catch (error) {
      if (job.signal.aborted) throw job.signal.reason
      if (error instanceof NoRoomError) throw await explainNoRoom(job, stores.kept)
      if (error instanceof RivuletError) {
        // A file that was damaged in transit is downloaded once more.
        if (error.code !== 'integrity-failed' || damage) throw error
        damage = error
        continue
      }
      if (!(error instanceof FileChangedError) || starts === maxStarts) {
        throw asRivuletError(error, 'download-failed', `${job.path} could not be stored`)
      }
      await stores.kept.remove(job.path)
    }
  }
}

async function transfer(job: DownloadJob, { kept, unkept }: DownloadStores): Promise<StoredFile | undefined> {
  const partial = await kept.open(job.path)
  if (partial && canResume(partial, job.known)) return fill(job, kept, partial, undefined)
  const answer = await retry(job, () =>
    requestRange({
      ...job,
      url: urlOf(job),
      first: 0,
      last: job.segmentBytes - 1,
      expected: { ...job.known, validator: undefined },
    }),
  )
  if (!answer) return undefined
  try {
    const { validator } = answer
    const sizeBytes = answer.sizeBytes ?? job.known.sizeBytes
    const sha256 = job.known.sha256 ?? answer.sha256
    const store = sizeBytes === undefined ? unkept : kept
    const file = await store.create({
      folderUrl: job.folderUrl,
      path: job.path,
      isMissing: false,
      sizeBytes,
      segmentBytes: answer.isPartial ? job.segmentBytes : Math.max(1, sizeBytes ?? 1),
      validator,
      objectId: job.objectId,
      sha256,
    })
    return await fill(job, store, file, answer)
  } finally {
    answer.end()
  }
}

const urlOf = ({ folderUrl, path }: Pick<DownloadJob, 'folderUrl' | 'path'>) => new URL(path, folderUrl).href

/**
 * Returns true if the stored part of a file can be continued. Without an ETag, date or hash, the stored part and the rest
 * could belong to different versions of the file.
 */
function canResume({ record, isComplete }: StoredFile, known: DownloadJob['known']): boolean {
  if (isComplete || record.isMissing || !(record.validator ?? record.sha256)) return false
  return (['sizeBytes', 'sha256'] as const).every(
    (name) => known[name] === undefined || known[name] === record[name],
  )
}

/** Fetches the missing segments, checks the file and marks it complete. */
async function fill(
  job: DownloadJob,
  store: FileStore,
  file: StoredFile,
  firstAnswer: RangeAnswer | undefined,
): Promise<StoredFile> {
  const { record } = file
  const stop = new AbortController()
  const running = { ...job, signal: AbortSignal.any([job.signal, stop.signal]) }
  const loaded = await Promise.all(
    Array.from({ length: countSegments(record) }, (_, index) => file.measureSegment(index)),
  )
  const report = (phase: TransferProgress['phase']) =>
    job.onProgress({
      phase,
      loadedBytes: loaded.reduce((sum, bytes) => sum + bytes, 0),
      totalBytes: record.sizeBytes,
    })
  report('download')
  const limit = createLimit(maxConnections)
  const segments = loaded.map((_, index) =>
    limit(() =>
      fillSegment(running, file, index, index === 0 ? firstAnswer : undefined, (bytes) => {
        loaded[index] = bytes
        report('download')
      }),
    ),
  )
  const hashing =
    record.sha256 === undefined
      ? Promise.resolve(undefined)
      : hashSegments(file, segments, () => report('verify'))
  for (const work of [hashing, ...segments]) work.catch((error: unknown) => stop.abort(error))
  // Waits until every writer is closed.
  await Promise.allSettled([hashing, ...segments])
  stop.signal.throwIfAborted()
  const sha256 = await hashing
  if (sha256 !== record.sha256) {
    await store.remove(record.path)
    throw createIntegrityError(job, record.sha256!, sha256!)
  }
  await file.complete(sha256)
  return file
}

type OnLoaded = (loadedBytes: number) => void

async function fillSegment(
  job: DownloadJob,
  { record, openSegment }: StoredFile,
  index: number,
  firstAnswer: RangeAnswer | undefined,
  onLoaded: OnLoaded,
): Promise<void> {
  job.signal.throwIfAborted()
  const wholeBytes = measureSegment(record, index)
  const writer = await openSegment(index)
  try {
    if (writer.sizeBytes > wholeBytes) writer.clear()
    let answer = firstAnswer
    await retry(
      job,
      async () => {
        if (writer.sizeBytes === wholeBytes && wholeBytes > 0) return
        const first = index * record.segmentBytes + writer.sizeBytes
        const last = Math.max(first, index * record.segmentBytes + Math.min(wholeBytes, job.segmentBytes) - 1)
        answer ??= await requestRange({ ...job, url: urlOf(job), first, last, expected: record })
        const current = answer
        answer = undefined
        if (!current) throw new FileChangedError(`${urlOf(job)} was removed from the server.`)
        await pour(current, record, writer, wholeBytes, onLoaded)
      },
      () => writer.sizeBytes,
    )
  } finally {
    writer.close()
  }
}

/** Writes an answer's bytes to a segment. @throws TransferError if the segment is not complete afterwards */
async function pour(
  answer: RangeAnswer,
  record: FileRecord,
  writer: SegmentWriter,
  wholeBytes: number,
  onLoaded: OnLoaded,
): Promise<void> {
  try {
    if (!answer.isPartial) {
      if (countSegments(record) > 1)
        throw new FileChangedError('The server stopped supporting range requests.')
      writer.clear()
    }
    for await (const piece of answer.pieces) {
      if (writer.sizeBytes + piece.byteLength > wholeBytes) {
        throw new TransferError(`The server sent more bytes of ${record.path} than requested.`)
      }
      writer.write(piece)
      onLoaded(writer.sizeBytes)
    }
  } finally {
    answer.end()
  }
  // When the connection closes early, the body can end without an error.
  if (wholeBytes !== Infinity && writer.sizeBytes < wholeBytes) {
    throw new TransferError(`The download of ${record.path} ended early.`)
  }
}

/**
 * Calls `run` again after a `TransferError`, with growing pauses. After an attempt that increases `measure()`, the pauses
 * start short again.
 * @throws RivuletError `download-failed` after several attempts in a row without progress; other errors of `run`
 */
export async function retry<T>(
  { signal }: Pick<DownloadJob, 'signal'>,
  run: () => Promise<T>,
  measure: () => number = () => 0,
): Promise<T> {
  let fruitlessAttempts = 0
  for (let before = measure(); ; before = measure()) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof TransferError)) throw error
      fruitlessAttempts = measure() > before ? 1 : fruitlessAttempts + 1
      if (fruitlessAttempts === maxFruitlessAttempts) {
        throw new RivuletError(
          'download-failed',
          `${error.message} Retry to resume; the data downloaded so far is kept.`,
          {
            cause: error,
          },
        )
      }
      await pause(Math.max(error.retryAfterMs, firstPauseMs * 2 ** (fruitlessAttempts - 1)), signal)
    }
  }
}

/** Returns a function that runs tasks in the order of its calls, at most `max` at a time. */
function createLimit(max: number): (task: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (task) => {
    if (running === max) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      await task()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}

function createIntegrityError({ path }: DownloadJob, expected: string, got: string): RivuletError {
  return new RivuletError(
    'integrity-failed',
    `The SHA-256 of ${path} is ${got}, but ${expected} is required. The file was removed. Retry, or correct "download.sha256" or the file on the server.`,
    { details: { file: path, expected, got } },
  )
}

async function explainNoRoom(job: DownloadJob, store: FileStore): Promise<RivuletError> {
  const file = await store.open(job.path)
  const storedBytes = file ? (await file.read()).size : 0
  const sizeBytes = file?.record.sizeBytes ?? job.known.sizeBytes ?? storedBytes
  return createQuotaError(job.path, sizeBytes - storedBytes, 0)
}
