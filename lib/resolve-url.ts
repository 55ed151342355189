import { RivuletError } from './contract/errors.js'
import { isServer } from './contract/is-server.js'

/**
 * Returns the absolute URL for a worker, which would resolve a relative URL against its own script, not against the page.
 * On a server, the result is not used: only a page starts workers.
 * @throws RivuletError `invalid-option`, with `option` as the name in the message
 */
export function resolveUrl(option: string, url: string | URL): string {
  const base = isServer() ? 'http://localhost/' : globalThis.document?.baseURI
  const isUrl = typeof url === 'string' || url instanceof URL
  if (!isUrl || !URL.canParse(String(url), base))
    throw new RivuletError('invalid-option', `${option} must be a URL.`)
  return new URL(String(url), base).href
}
