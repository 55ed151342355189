import { refuse, refuseUnknown } from './contract/check-options.js'
import type { DownloadRequest } from './contract/download-request.js'
import { readHeaders } from './read-headers.js'

/** How a model's files are downloaded and stored. */
export interface DownloadOptions {
  /** The hub for `owner/name`: a mirror, or your own hub. @default 'https://huggingface.co/' */
  readonly hubUrl?: string | URL | undefined
  /**
   * Headers for each request for the model, such as `Authorization` for a private model. They are never stored, and never
   * shown in an error.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * SHA-256 hashes of files. Each key is a file's path in the model's folder; each value has 64 hexadecimal digits. A file
   * with another hash is never used (`integrity-failed`), whether it is downloaded, stored or local. A path that the folder
   * does not have is refused (`invalid-option`), so that a misspelt path cannot leave a file unchecked. There is one
   * exception: if the model is stored and its server cannot be reached, an unknown path is accepted. Hashes for files that
   * this load does not need, such as other dtypes, are allowed. In a list of backends with different models, every path
   * must exist in the model that is loaded.
   * Without this option, large files of a hub are checked against the hub's own hashes.
   */
  readonly sha256?: Readonly<Record<string, string>> | undefined
  /**
   * If true, asks the server whether the stored files are current. This takes one request per file, or one in total for a
   * hub. If the server does not answer within 3 s, the stored files are used. If false, the stored files are used without
   * asking the server.
   * @default true
   */
  readonly revalidate?: boolean | undefined
  /**
   * If true, asks the browser to keep the models when the disk fills up. Some browsers then ask the user for permission.
   * @default true
   */
  readonly persist?: boolean | undefined
  /** How long a connection may be silent, in milliseconds, before the download resumes on another one. @default 30000 */
  readonly idleTimeoutMs?: number | undefined
}

const optionNames: readonly string[] = [
  'hubUrl',
  'headers',
  'sha256',
  'revalidate',
  'persist',
  'idleTimeoutMs',
] satisfies (keyof DownloadOptions)[]

/**
 * Checks the options, adds the defaults and returns the values that the worker needs.
 * @throws RivuletError `invalid-option`
 */
export function checkDownloadOptions(options: DownloadOptions): DownloadRequest {
  if (!isRecord(options)) refuse('"download" must be an object.', 'download')
  refuseUnknown('"download"', options, optionNames)
  const {
    hubUrl,
    headers = {},
    sha256 = {},
    revalidate = true,
    persist = true,
    idleTimeoutMs = 30_000,
  } = options
  if (hubUrl !== undefined && !URL.canParse(String(hubUrl)))
    refuse('"hubUrl" must be an absolute URL.', 'hubUrl')
  if (typeof revalidate !== 'boolean') refuse('"revalidate" must be true or false.', 'revalidate')
  if (typeof persist !== 'boolean') refuse('"persist" must be true or false.', 'persist')
  if (typeof idleTimeoutMs !== 'number' || !(idleTimeoutMs > 0 && idleTimeoutMs < 2 ** 31)) {
    refuse('"idleTimeoutMs" must be a number of milliseconds, above 0 and below 2^31.', 'idleTimeoutMs')
  }
  return {
    headers:
      readHeaders(headers) ?? refuse('"headers" must be an object of header names and values.', 'headers'),
    sha256: checkHashes(sha256),
    revalidate,
    idleTimeoutMs,
  }
}

function checkHashes(hashes: unknown): Record<string, string> {
  if (!isRecord(hashes)) return refuse('"sha256" must be an object of file paths and hashes.', 'sha256')
  return Object.fromEntries(
    Object.entries(hashes).map(([path, hash]) => {
      if (typeof hash === 'string' && /^[0-9a-f]{64}$/i.test(hash)) return [path, hash.toLowerCase()]
      return refuse(`"sha256" of "${path}" must be 64 hexadecimal digits.`, 'sha256')
    }),
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
