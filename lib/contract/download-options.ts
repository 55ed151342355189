import { refuse, refuseUnknown } from './check-options.js'
import { readHeaders } from './read-headers.js'

/** How a model's files are fetched and kept. */
export interface DownloadOptions {
  /** The hub on which `owner/name` is looked up: a mirror, or one of your own. @default 'https://huggingface.co/' */
  readonly hubUrl?: string | URL | undefined
  /** Sent with each request for the model: `Authorization` for a private one. Never stored, and never in an error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * SHA-256 of files, 64 hexadecimal digits each, by their path in the folder. A file that differs is never used.
   * The hub's large files are checked against the hub's own hashes without this.
   */
  readonly sha256?: Readonly<Record<string, string>> | undefined
  /**
   * Ask the server whether what is stored is still its newest: one request a file, or one in all on the hub. A server
   * that does not answer within 3 s is not waited for. `false` opens what is stored at once.
   * @default true
   */
  readonly revalidate?: boolean | undefined
  /** Ask the browser not to delete models when the disk fills up; some ask the visitor. @default true */
  readonly persist?: boolean | undefined
  /** A connection that brings no byte for so long, in milliseconds, is given up, and the download resumed. @default 30000 */
  readonly idleTimeoutMs?: number | undefined
}

/** What of it the worker is told. */
export interface DownloadRequest {
  readonly headers: Readonly<Record<string, string>>
  /** In lower case. */
  readonly sha256: Readonly<Record<string, string>>
  readonly revalidate: boolean
  readonly idleTimeoutMs: number
}

const optionNames: readonly string[] = [
  'hubUrl',
  'headers',
  'sha256',
  'revalidate',
  'persist',
  'idleTimeoutMs',
] satisfies (keyof DownloadOptions)[]

/** @throws RivuletError `invalid-option` */
export function checkDownloadOptions(options: DownloadOptions): DownloadRequest {
  if (!isRecord(options)) refuse('"download" must be an object.')
  refuseUnknown('"download"', options, optionNames)
  const {
    hubUrl,
    headers = {},
    sha256 = {},
    revalidate = true,
    persist = true,
    idleTimeoutMs = 30_000,
  } = options
  if (hubUrl !== undefined && !URL.canParse(String(hubUrl))) refuse('"hubUrl" must be an absolute URL.')
  if (typeof revalidate !== 'boolean' || typeof persist !== 'boolean') {
    refuse('"revalidate" and "persist" must be true or false.')
  }
  if (typeof idleTimeoutMs !== 'number' || !(idleTimeoutMs > 0 && idleTimeoutMs < 2 ** 31)) {
    refuse('"idleTimeoutMs" must be a number of milliseconds above 0.')
  }
  return {
    headers: readHeaders(headers) ?? refuse('"headers" must be an object of header names and values.'),
    sha256: checkHashes(sha256),
    revalidate,
    idleTimeoutMs,
  }
}

function checkHashes(hashes: unknown): Record<string, string> {
  if (!isRecord(hashes)) return refuse('"sha256" must be an object of paths and hashes.')
  return Object.fromEntries(
    Object.entries(hashes).map(([path, hash]) => {
      if (typeof hash === 'string' && /^[0-9a-f]{64}$/i.test(hash)) return [path, hash.toLowerCase()]
      return refuse(`"sha256" of ${path} must be 64 hexadecimal digits.`)
    }),
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
