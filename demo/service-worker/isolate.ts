/** Values of `Cross-Origin-Embedder-Policy` that isolate a page. */
export type EmbedderPolicy = 'credentialless' | 'require-corp'

/**
 * Returns the response with the headers for cross-origin isolation, which WASM threads require. A response that has an
 * embedder policy already is returned unchanged: the host's policy takes precedence.
 */
export function isolate(response: Response, policy: EmbedderPolicy): Response {
  // The status and headers of an opaque redirect cannot be read; the browser follows it by itself.
  if (response.type === 'opaqueredirect' || response.headers.has('cross-origin-embedder-policy')) {
    return response
  }
  const headers = new Headers(response.headers)
  headers.set('cross-origin-opener-policy', 'same-origin')
  headers.set('cross-origin-embedder-policy', policy)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}
