const allowedProtocols = new Set(['http:', 'https:', 'mailto:'])

/**
 * The address in the form in which it is followed, or undefined where no link may be made of it: another
 * protocol, a relative address (it would lead to this page's own site), or one with a user name, whose
 * `https://bank.example@evil.example` reads like another site.
 */
export function toSafeUrl(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  const url = new URL(address)
  const isAllowed = allowedProtocols.has(url.protocol) && url.username === '' && url.password === ''
  return isAllowed ? url.href : undefined
}
