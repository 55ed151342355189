import type { LoadProgress } from 'rivulet'
import { formatTimeLeft } from '../figure-format.js'
import { formatSize } from './format-size.js'

/** `12.1 MB of 105 MB · 8.1 MB/s · 24 s left` */
export function describeProgress(progress: LoadProgress | undefined): string {
  if (!progress || progress.totalBytes === 0) return 'Connecting…'
  if (progress.phase === 'verify') return 'Verifying the download…'
  const { loadedBytes, totalBytes, bytesPerSecond, remainingMs } = progress
  const parts = [`${formatSize(loadedBytes)} of ${formatSize(totalBytes)}`]
  if (bytesPerSecond !== undefined && remainingMs !== undefined) {
    parts.push(`${formatSize(bytesPerSecond)}/s`, `${formatTimeLeft(remainingMs)} left`)
  }
  return parts.join(' · ')
}
