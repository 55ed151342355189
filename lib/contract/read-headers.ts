/**
 * HTTP headers in the form in which they are sent: names in lower case.
 * @returns undefined where HTTP cannot send them; why is not told, since it would quote values that may be secrets
 */
export function readHeaders(headers: unknown): Record<string, string> | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  try {
    return Object.fromEntries(new Headers(headers as Record<string, string>))
  } catch {
    return undefined
  }
}
