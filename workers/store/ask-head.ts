import { isPage, readFacts, type FileFacts } from './request-range.js'

/** A server's answer to a request about a file that does not download the file. */
export type HeadAnswer =
  | ({ readonly kind: 'file' } & FileFacts)
  | { readonly kind: 'missing' }
  /** The server did not answer in time, or does not say if it has the file: forbidden, busy, or no support for `HEAD`. */
  | { readonly kind: 'unknown' }

/** What to ask about. */
export interface HeadRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** True for a file that was downloaded without a range. Its ETag can be the one of the compressed file. */
  readonly isSmall: boolean
  readonly signal: AbortSignal
}

export async function askHead({ url, headers, isSmall, signal }: HeadRequest): Promise<HeadAnswer> {
  // A signature is only valid for the method that it was made for, usually GET. One byte is requested then.
  const isSigned = new URL(url).search !== ''
  const range = isSigned ? 'bytes=0-0' : isSmall ? undefined : 'bytes=0-'
  try {
    // Asks like the download, so that the ETags can match. With a range, servers send the ETag of the uncompressed file.
    const response = await fetch(url, {
      method: isSigned ? 'GET' : 'HEAD',
      headers: { ...headers, ...(range !== undefined && { range }) },
      signal,
      cache: 'no-store',
    })
    // A server can ignore the range and send the whole file.
    if (isSigned) response.body?.cancel().catch(() => {})
    // It is empty. Chromium reports a request whose body is not read as aborted when the worker ends.
    else await response.arrayBuffer()
    if (isPage(response) || response.status === 404 || response.status === 410) return { kind: 'missing' }
    if (!response.ok) return { kind: 'unknown' }
    const facts = readFacts(response)
    // The length of an answer to a range is not the length of the file.
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
    const isPart = response.status === 206 && isSigned
    return {
      kind: 'file',
      ...facts,
      ...(isPart && { sizeBytes: total === undefined ? undefined : Number(total) }),
    }
  } catch {
    return { kind: 'unknown' }
  }
}
