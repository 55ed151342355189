import type { Availability } from 'rivulet'
import { formatSize } from './format-size.js'
import type { ModelEntry } from './catalogue.js'

/** What the browser reports about this device. */
export interface DeviceFacts {
  readonly availability: Availability
  /** Browsers round it, and some report at most 8 GB; undefined if the browser does not report it. */
  readonly deviceMemoryBytes: number | undefined
  /** Disk space left for this site. Browsers may report more than they allow. */
  readonly freeStorageBytes: number | undefined
}

/** Whether a model can run on this device, and why. */
export interface Fit {
  readonly kind: 'fits' | 'slow' | 'tight' | 'impossible' | 'unknown'
  readonly reason: string
}

type Needs = Pick<ModelEntry, 'runtime' | 'sizeBytes' | 'memoryBytes' | 'needsFloat16'>

/** The limit of 32-bit WebAssembly. */
const wasmMemoryBytes = 2 ** 32
/** On the CPU, larger models generate more slowly than people read. */
const comfortableOnCpuBytes = 500e6
/** The maximum of `navigator.deviceMemory` in browsers that cap it: the device may have more. */
const cappedMemoryBytes = 8 * 2 ** 30

/** @param storedBytes bytes of the model that are downloaded already */
export function checkFit(needs: Needs, facts: DeviceFacts, storedBytes = 0): Fit {
  const { runtime, sizeBytes, memoryBytes } = needs
  const obstacle = findObstacle(needs, facts)
  if (obstacle !== undefined) return { kind: 'impossible', reason: obstacle }
  if (runtime === 'prompt-api') return { kind: 'fits', reason: 'Runs in this browser.' }
  const { freeStorageBytes = Infinity, deviceMemoryBytes = Infinity } = facts
  const missingBytes = (sizeBytes ?? 0) - storedBytes
  if (missingBytes > freeStorageBytes) {
    const reason = `Needs ${formatSize(missingBytes)} of storage. The browser has ${formatSize(freeStorageBytes)} left for this site.`
    return { kind: 'impossible', reason }
  }
  if (memoryBytes === undefined) {
    return { kind: 'unknown', reason: 'The memory use is unknown until the model is loaded.' }
  }
  if (memoryBytes > deviceMemoryBytes / 2 && deviceMemoryBytes < cappedMemoryBytes) {
    const reason = `Needs ${formatSize(memoryBytes)} of this device’s ${formatSize(deviceMemoryBytes)} of memory. The browser may close the tab.`
    return { kind: 'tight', reason }
  }
  if (runtime !== 'web-llm' && !hasGpu(facts) && memoryBytes > comfortableOnCpuBytes) {
    return { kind: 'slow', reason: 'Runs on the CPU here, which is slow for a model of this size.' }
  }
  return { kind: 'fits', reason: 'Runs on this device.' }
}

function findObstacle({ runtime, memoryBytes = 0, needsFloat16 }: Needs, facts: DeviceFacts) {
  const { backends, webgpu } = facts.availability
  const backend = backends.find(({ name }) => name === runtime)
  if (backend && !backend.isAvailable) return backend.reason
  if (needsFloat16 && 'adapter' in webgpu && !webgpu.adapter.hasShaderF16) {
    return 'Needs 16-bit floats (shader-f16), which this GPU does not support.'
  }
  const isWasm = runtime === 'llama-cpp' || (runtime === 'onnx' && !hasGpu(facts))
  if (isWasm && memoryBytes > wasmMemoryBytes) {
    return `Needs ${formatSize(memoryBytes)} of memory. WebAssembly is limited to ${formatSize(wasmMemoryBytes)}.`
  }
  return undefined
}

function hasGpu({ availability: { webgpu } }: DeviceFacts): boolean {
  return 'adapter' in webgpu && !webgpu.adapter.isFallbackAdapter
}
