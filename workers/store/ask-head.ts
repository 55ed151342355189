import { isPage, readFacts, type FileFacts } from './request-range.js'

/** What a server says about a file without sending it. */
export type HeadAnswer =
  | ({ readonly kind: 'file' } & FileFacts)
  | { readonly kind: 'missing' }
  /** No answer in time, or one that does not say: forbidden, busy, or a server without `HEAD`. */
  | { readonly kind: 'unknown' }

export async function askHead(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HeadAnswer> {
  try {
    // With a range, servers name the ETag of the uncompressed file, as they did when the file was fetched.
    const sent = { ...headers, range: 'bytes=0-' }
    const response = await fetch(url, { method: 'HEAD', headers: sent, signal, cache: 'no-store' })
    if (isPage(response) || response.status === 404 || response.status === 410) return { kind: 'missing' }
    return response.ok ? { kind: 'file', ...readFacts(response) } : { kind: 'unknown' }
  } catch {
    return { kind: 'unknown' }
  }
}
