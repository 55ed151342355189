import type { GpuAdapterFacts } from '../lib/contract/devices.js'

/** An adapter in a few words; browsers leave out what could tell the visitor from others. */
export function describeAdapter({ description, vendor, architecture }: GpuAdapterFacts): string {
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter'
}

export function describeThreads(threads: number): string {
  return threads === 1 ? 'CPU, 1 thread' : `CPU, ${threads} threads`
}
