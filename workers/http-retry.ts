const maxRetryAfterMs = 60_000

/**
 * Returns the delay of the `Retry-After` header, at most one minute. Returns undefined if the header is not a number of
 * seconds: a date would need the server's clock.
 */
export function readRetryAfterMs({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? NaN)
  return seconds >= 0 ? Math.min(seconds * 1000, maxRetryAfterMs) : undefined
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
