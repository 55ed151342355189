import { RivuletError, asRivuletError } from '../../lib/contract/errors.js'
import { countSegments, measureSegment, type FileRecord } from '../../lib/contract/store-layout.js'
import {
  createIntegrityError,
  type DownloadJob,
  type DownloadStores,
  type TransferProgress,
} from './download-job.js'
import { downloadWhole } from './download-whole.js'
import type { FileStore, SegmentWriter, StoredFile } from './file-store.js'
import {
  FileChangedError,
  TransferError,
  hideQuery,
  requestRange,
  requestWhole,
  type RangeAnswer,
} from './request-range.js'
import { createRefuser, retry } from './retry.js'
import { NoRoomError, createQuotaError } from './room.js'
import { hashSegments } from './sha256.js'

/** The limit per file. Several connections are faster if the server limits each one; servers refuse too many. */
const maxConnections = 4
/** How many times a download is started when the file keeps changing on the server. */
const maxStarts = 3

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

async function transfer(job: DownloadJob, stores: DownloadStores): Promise<StoredFile | undefined> {
  if (job.isSmall) return downloadWhole(job, stores)
  const { kept, unkept } = stores
  const partial = await kept.open(job.path)
  if (partial && canResume(partial, job.known)) return fill(job, kept, partial, undefined)
  const request = {
    ...job,
    first: 0,
    last: job.segmentBytes - 1,
    expected: { ...job.known, validator: undefined },
  }
  const refuse = createRefuser(job)
  const answer = await retry(job, () => requestRange(request), {
    isStored: kept.isPersistent,
    async onUnreachable(attempts) {
      // A file that is stored compressed can be read only as a whole.
      const whole = attempts === 2 ? await requestWhole(job).catch(() => undefined) : undefined
      if (!whole) await refuse()
      return whole
    },
  })
  if (!answer) return undefined
  if (answer.isWhole) return downloadWhole(job, stores, answer)
  try {
    const { validator } = answer
    const sizeBytes = answer.sizeBytes ?? job.known.sizeBytes
    const sha256 = job.known.sha256 ?? answer.sha256
    const store = sizeBytes === undefined ? unkept : kept
    const file = await store.create({
      folderUrl: job.folderUrl,
      modelUrl: job.modelUrl,
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
      fillSegment(running, store, file, index, index === 0 ? firstAnswer : undefined, (bytes) => {
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
    throw createIntegrityError(job.path, record.sha256!, sha256!)
  }
  await file.complete(sha256)
  return file
}

type OnLoaded = (loadedBytes: number) => void

async function fillSegment(
  job: DownloadJob,
  { isPersistent }: FileStore,
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
        answer ??= await requestRange({ ...job, first, last, expected: record })
        const current = answer
        answer = undefined
        if (!current) throw new FileChangedError(`${hideQuery(job.url)} was removed from the server.`)
        await pour(current, record, writer, wholeBytes, onLoaded)
      },
      { isStored: isPersistent, measure: () => writer.sizeBytes },
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

async function explainNoRoom(job: DownloadJob, store: FileStore): Promise<RivuletError> {
  const file = await store.open(job.path)
  const storedBytes = file ? (await file.read()).size : 0
  const sizeBytes = file?.record.sizeBytes ?? job.known.sizeBytes ?? storedBytes
  return createQuotaError(job.path, sizeBytes - storedBytes, 0)
}
