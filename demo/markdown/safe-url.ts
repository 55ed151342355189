const allowedProtocols = new Set(['http:', 'https:', 'mailto:'])

/**
 * Returns the normalized URL, or undefined if the address is not safe to link: another protocol, a relative address (it
 * would point to this page's site), or a URL with a user name (`https://bank.example@evil.example` looks like another
 * site).
 */
export function toSafeUrl(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  const url = new URL(address)
  const isAllowed = allowedProtocols.has(url.protocol) && url.username === '' && url.password === ''
  return isAllowed ? url.href : undefined
}
