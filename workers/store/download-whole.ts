import { createIntegrityError, type DownloadJob, type DownloadStores } from './download-job.js'
import type { StoredFile } from './file-store.js'
import {
  TransferError,
  nameVersion,
  requestWhole,
  type FileFacts,
  type RangeAnswer,
} from './request-range.js'
import { createRefuser, retry } from './retry.js'
import { hashBlob } from './sha256.js'

/**
 * Downloads a file in one request without a range: a small file, or a file that is stored compressed on its server.
 * @param firstAnswer an answer that is already open
 * @returns the complete file, or undefined if the server does not have it
 * @throws RivuletError `download-failed`, `integrity-failed`, `quota-exceeded`; the reason of `signal`
 */
export async function downloadWhole(
  job: DownloadJob,
  { kept, unkept }: DownloadStores,
  firstAnswer?: RangeAnswer,
): Promise<StoredFile | undefined> {
  let answer = firstAnswer
  let attempts = 0
  const whole = await retry(
    job,
    async () => {
      const current = answer ?? (await requestWhole(job))
      answer = undefined
      attempts += 1
      return current && collect(job, current, attempts)
    },
    { onUnreachable: createRefuser(job) },
  )
  if (!whole) return undefined
  const { content, validator, sha256: expected, isEndCertain } = whole
  const sha256 = expected === undefined ? undefined : await hashBlob(content)
  if (sha256 !== expected) throw createIntegrityError(job.path, expected!, sha256!)
  const store = isEndCertain || expected !== undefined ? kept : unkept
  const file = await store.create({
    folderUrl: job.folderUrl,
    modelUrl: job.modelUrl,
    path: job.path,
    isMissing: false,
    sizeBytes: content.size,
    segmentBytes: Math.max(1, content.size),
    validator,
    objectId: job.objectId,
    sha256: expected,
  })
  const writer = await file.openSegment(0)
  try {
    for (let start = 0; start < content.size; start += pieceBytes) {
      writer.write(new Uint8Array(await content.slice(start, start + pieceBytes).arrayBuffer()))
    }
  } finally {
    writer.close()
  }
  await file.complete(sha256)
  return file
}

const pieceBytes = 4 * 2 ** 20

interface WholeFile extends Pick<FileFacts, 'validator' | 'sha256'> {
  readonly content: Blob
  /** False if the body may have been cut: only the end of the connection marked its end. */
  readonly isEndCertain: boolean
}

async function collect(job: DownloadJob, answer: RangeAnswer, attempts: number): Promise<WholeFile> {
  const { known, path } = job
  const validator = nameVersion(answer)
  const { sentBytes } = answer
  const report = (loadedBytes: number, totalBytes: number | undefined) =>
    job.onProgress({ phase: 'download', loadedBytes, totalBytes, sentBytes })
  report(0, known.sizeBytes)
  const pieces: Blob[] = []
  let loadedBytes = 0
  try {
    for await (const piece of answer.pieces) {
      // The browser keeps blobs outside the worker's heap.
      pieces.push(new Blob([piece as Uint8Array<ArrayBuffer>]))
      loadedBytes += piece.byteLength
      report(Math.min(loadedBytes, known.sizeBytes ?? Infinity), known.sizeBytes)
    }
  } finally {
    answer.end()
  }
  if (known.sizeBytes !== undefined && known.sizeBytes !== loadedBytes) {
    throw new TransferError(`${path} has ${loadedBytes} bytes instead of ${known.sizeBytes}.`)
  }
  report(loadedBytes, loadedBytes)
  const content = new Blob(pieces)
  // With a length, of compressed bytes or not, the browser itself reports a body that was cut.
  const hasLength = known.sizeBytes !== undefined || answer.hasLength
  const isEndCertain = hasLength || (path.endsWith('.json') && isJson(await content.text()))
  if (!hasLength && !isEndCertain && path.endsWith('.json') && attempts === 1) {
    throw new TransferError(`${path} is not valid JSON. It may have been cut.`)
  }
  return { content, validator, sha256: known.sha256 ?? answer.sha256, isEndCertain }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
