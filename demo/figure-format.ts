/** A number and its unit, formatted for display. */
export interface FormattedFigure {
  readonly value: string
  readonly unit: string
}

/** Three significant digits, so that a changing figure keeps nearly the same width. */
export function formatNumber(value: number, unit: string): FormattedFigure {
  const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0
  return { value: value.toFixed(decimals), unit }
}

export function formatMs(ms: number): FormattedFigure {
  return ms < 999.5 ? formatNumber(ms, 'ms') : formatNumber(ms / 1000, 's')
}

/** `1.2 of 11.1 MB` */
export function formatBytes(loadedBytes: number, totalBytes: number): string {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)
  return `${megabytes(loadedBytes)} of ${megabytes(totalBytes)} MB`
}

/** `24 s`, `3 min`: an estimate needs no more precision. */
export function formatTimeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  return seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`
}
