/** `539 bytes`, `3.23 MB`, `105 MB`, `1.12 GB`: three significant digits. */
export function formatSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  const units = ['KB', 'MB', 'GB', 'TB']
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value.toPrecision(3)} ${units[unit]}`
}
