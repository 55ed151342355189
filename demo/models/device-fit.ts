import type { Availability } from 'rivulet'
import { formatSize } from './format-size.js'
import type { ModelEntry } from './catalogue.js'

/** What is known of this device. */
export interface DeviceFacts {
  readonly availability: Availability
  /** Browsers round it, and some tell no more than 8 GB; undefined where they do not tell. */
  readonly deviceMemoryBytes: number | undefined
  /** Of the disk, for this site; browsers may tell more than they give. */
  readonly freeStorageBytes: number | undefined
}

/** Whether a model can run here, with a sentence on why. */
export interface Fit {
  readonly kind: 'fits' | 'slow' | 'tight' | 'impossible' | 'unknown'
  readonly reason: string
}

type Needs = Pick<ModelEntry, 'runtime' | 'sizeBytes' | 'memoryBytes' | 'needsFloat16'>

/** With 32-bit addresses. */
const wasmMemoryBytes = 2 ** 32
/** Larger ones write slower than people read, where only the processor computes. */
const comfortableOnCpuBytes = 500e6
/** What `navigator.deviceMemory` says at most in browsers that cap it: there may be more. */
const cappedMemoryBytes = 8 * 2 ** 30

/** @param storedBytes what of it is on the disk already */
export function judgeFit(needs: Needs, facts: DeviceFacts, storedBytes = 0): Fit {
  const { runtime, sizeBytes, memoryBytes } = needs
  const obstacle = findObstacle(needs, facts)
  if (obstacle !== undefined) return { kind: 'impossible', reason: obstacle }
  const { freeStorageBytes = Infinity, deviceMemoryBytes = Infinity } = facts
  const missingBytes = (sizeBytes ?? 0) - storedBytes
  if (missingBytes > freeStorageBytes) {
    const reason = `Needs ${formatSize(missingBytes)} of storage; the browser gives this site ${formatSize(freeStorageBytes)} more.`
    return { kind: 'impossible', reason }
  }
  if (memoryBytes === undefined) {
    return { kind: 'unknown', reason: 'How much memory it takes is known when it is loaded.' }
  }
  if (memoryBytes > deviceMemoryBytes / 2 && deviceMemoryBytes < cappedMemoryBytes) {
    const reason = `Takes ${formatSize(memoryBytes)} of the ${formatSize(deviceMemoryBytes)} that this device has: the tab may be closed.`
    return { kind: 'tight', reason }
  }
  if (runtime !== 'web-llm' && !hasGpu(facts) && memoryBytes > comfortableOnCpuBytes) {
    return { kind: 'slow', reason: 'Runs on the processor here, which is slow for its size.' }
  }
  return { kind: 'fits', reason: 'Fits this device.' }
}

function findObstacle({ runtime, memoryBytes = 0, needsFloat16 }: Needs, facts: DeviceFacts) {
  const { backends, webgpu } = facts.availability
  const backend = backends.find(({ name }) => name === runtime)
  if (backend && !backend.isAvailable) return backend.reason
  if (needsFloat16 && 'adapter' in webgpu && !webgpu.adapter.hasShaderF16) {
    return 'Needs 16-bit floats, which the graphics adapter here has not.'
  }
  const isWasm = runtime === 'llama-cpp' || (runtime === 'onnx' && !hasGpu(facts))
  if (isWasm && memoryBytes > wasmMemoryBytes) {
    return `Takes ${formatSize(memoryBytes)}; WebAssembly holds ${formatSize(wasmMemoryBytes)}.`
  }
  return undefined
}

function hasGpu({ availability: { webgpu } }: DeviceFacts): boolean {
  return 'adapter' in webgpu && !webgpu.adapter.isFallbackAdapter
}
