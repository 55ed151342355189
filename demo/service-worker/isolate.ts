/** Values of `Cross-Origin-Embedder-Policy` under which a page is isolated. */
export type EmbedderPolicy = 'credentialless' | 'require-corp'

/**
 * The answer with the headers that isolate a page from other origins, so that it may use WASM threads. Answers that
 * carry them are left alone: their host knows better.
 */
export function isolate(response: Response, policy: EmbedderPolicy): Response {
  // A redirect that the browser follows by itself shows nothing of what it is.
  if (response.type === 'opaqueredirect' || response.headers.has('cross-origin-embedder-policy')) {
    return response
  }
  const headers = new Headers(response.headers)
  headers.set('cross-origin-opener-policy', 'same-origin')
  headers.set('cross-origin-embedder-policy', policy)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}
