import { RivuletError } from './contract/errors.js'

/**
 * What a worker can fetch: it resolves relative URLs against its own script, not against the page.
 * @throws RivuletError `invalid-option` with `option`'s name
 */
export function resolveUrl(option: string, url: string | URL): string {
  const base = globalThis.document?.baseURI
  if (!URL.canParse(String(url), base)) throw new RivuletError('invalid-option', `${option} must be a URL.`)
  return new URL(String(url), base).href
}
