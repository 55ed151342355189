/**
 * Returns the HTTP headers with their names in lower case, as they are sent.
 * @returns undefined for headers that HTTP cannot send. No reason is returned, because it would quote values, which may be
 *   secret
 */
export function readHeaders(headers: unknown): Record<string, string> | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  try {
    return Object.fromEntries(new Headers(headers as Record<string, string>))
  } catch {
    return undefined
  }
}
