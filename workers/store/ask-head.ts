import { isPage, readFacts, type FileFacts } from './request-range.js'

/** A server's answer to a `HEAD` request, which asks about a file without downloading it. */
export type HeadAnswer =
  | ({ readonly kind: 'file' } & FileFacts)
  | { readonly kind: 'missing' }
  /** The server did not answer in time, or does not say if it has the file: forbidden, busy, or no support for `HEAD`. */
  | { readonly kind: 'unknown' }

export async function askHead(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HeadAnswer> {
  try {
    // The download sent a range too. With a range, servers send the ETag of the uncompressed file, so the ETags can match.
    const sent = { ...headers, range: 'bytes=0-' }
    const response = await fetch(url, { method: 'HEAD', headers: sent, signal, cache: 'no-store' })
    if (isPage(response) || response.status === 404 || response.status === 410) return { kind: 'missing' }
    return response.ok ? { kind: 'file', ...readFacts(response) } : { kind: 'unknown' }
  } catch {
    return { kind: 'unknown' }
  }
}
