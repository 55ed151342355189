/** The folder's URL under which the model store lists a model: what `store.list()` calls `model`. */
export function locateStored(source: string | URL, base = document.baseURI): string {
  const text = String(source)
  const isUrl = source instanceof URL || /^\.{0,2}\//.test(text) || URL.canParse(text)
  if (!isUrl) {
    const [, repository, revision = 'main'] = /^([^/]+\/[^/@]+)(?:@([^/]+))?/.exec(text) ?? []
    return `https://huggingface.co/${repository ?? text}/resolve/${revision}/`
  }
  const url = new URL(text, base)
  if (/\.gguf$/i.test(url.pathname)) return new URL('./', url).href
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}
