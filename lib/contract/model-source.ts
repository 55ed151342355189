import { RivuletError } from './errors.js'

/**
 * Where a model's folder is: a URL (absolute, or relative to the page and then starting with `/`, `./` or `../`),
 * or `owner/name[@revision]` on the Hugging Face hub.
 */
export type ModelSource = string | URL

const hubReference = /^(?<repository>[\w.-]+\/[\w.-]+?)(?:@(?<revision>[\w./-]+))?$/
const relativeUrl = /^\.{0,2}\//

/**
 * The folder's absolute URL, with a slash at its end.
 * @param base what a relative URL is relative to
 * @throws RivuletError `invalid-option` when `source` is none of the forms above
 */
export function resolveModelFolder(source: ModelSource, base: string): string {
  const text = String(source)
  const hub = source instanceof URL || relativeUrl.test(text) ? undefined : hubReference.exec(text)?.groups
  if (hub) {
    // A revision is one segment, as in huggingface_hub's `hf_hub_url`: "refs/pr/1" has slashes of its own.
    const revision = encodeURIComponent(hub.revision ?? 'main')
    return `https://huggingface.co/${hub.repository}/resolve/${revision}/`
  }
  if (!relativeUrl.test(text) && !URL.canParse(text)) {
    throw new RivuletError(
      'invalid-option',
      `"${text}" is not a model: give a folder's URL, a path that starts with "/" or "./", or "owner/name" on the hub.`,
    )
  }
  const url = new URL(text, base)
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}
