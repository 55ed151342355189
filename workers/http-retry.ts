const maxRetryAfterMs = 60_000

/**
 * Returns the delay that a server asks for, at most one minute: `retry-after-ms` (OpenAI), or `Retry-After` as seconds or as a
 * date (RFC 9110, 10.2.3). A date is compared with the server's clock, if its `Date` can be read. Undefined without a valid
 * header.
 */
export function readRetryAfterMs({ headers }: Response): number | undefined {
  const after = headers.get('retry-after') ?? ''
  const date = Date.parse(after) - (Date.parse(headers.get('date') ?? '') || Date.now())
  const delays = [readNumber(headers.get('retry-after-ms')), readNumber(after) * 1000, Math.max(0, date)]
  const delay = delays.find((ms) => ms >= 0)
  return delay === undefined ? undefined : Math.min(delay, maxRetryAfterMs)
}

/** Returns the number in a header; NaN if the header is missing or is not a number. */
function readNumber(header: string | null): number {
  return header === null || header.trim() === '' ? NaN : Number(header)
}

/** Waits `ms` milliseconds. @throws the reason of `signal` */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
    function end(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    if (signal.aborted) end()
  })
}
