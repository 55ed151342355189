import type { GpuAdapterFacts } from '../lib/contract/devices.js'

/** Describes an adapter in a few words. Browsers leave out details that could identify the user. */
export function describeAdapter({ description, vendor, architecture }: GpuAdapterFacts): string {
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter'
}

export function describeThreads(threads: number): string {
  return threads === 1 ? 'CPU, 1 thread' : `CPU, ${threads} threads`
}
