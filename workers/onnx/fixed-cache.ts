import type { Tensor } from 'onnxruntime-web'
import { countTokenBytes, shapeCache, type CacheInput } from './state-schema.js'
import type { OnnxRuntime } from './session.js'
import { bufferUsage } from './webgpu-flags.js'
import { createOwnEncoder } from './own-encoder.js'

/**
 * A KV cache in GPU buffers that all runs share. Each buffer is both an input of the graph and the output that replaces
 * this input.
 */
export interface FixedCache {
  /** The maximum number of tokens in the cache. */
  readonly capacity: number
  /** The cache inputs of every run: input name → tensor. */
  readonly feeds: Readonly<Record<string, Tensor>>
  /** The cache outputs of every run, with the same tensors as `feeds`: output name → tensor. */
  readonly fetches: Readonly<Record<string, Tensor>>
  readonly buffers: readonly GPUBuffer[]
  destroy(): void
}

export function createFixedCache(
  { Tensor }: OnnxRuntime,
  device: GPUDevice,
  inputs: readonly CacheInput[],
  capacity: number,
): FixedCache {
  const buffers = inputs.map((input) =>
    createStorage(device, capacity * input.heads * countTokenBytes(input)),
  )
  const tensors = inputs.map((input, index) =>
    Tensor.fromGpuBuffer(buffers[index]!, { dataType: input.type, dims: shapeCache(input, capacity) }),
  )
  return {
    capacity,
    buffers,
    feeds: Object.fromEntries(inputs.map(({ past }, index) => [past, tensors[index]!])),
    fetches: Object.fromEntries(inputs.map(({ present }, index) => [present, tensors[index]!])),
    destroy() {
      for (const buffer of buffers) buffer.destroy()
    },
  }
}

/**
 * Copies the first `length` tokens of a cache into another cache. The heads of a cache are `capacity` tokens apart, so each
 * head needs its own copy.
 */
export function copyCache(
  device: GPUDevice,
  inputs: readonly CacheInput[],
  from: Pick<FixedCache, 'buffers' | 'capacity'>,
  to: Pick<FixedCache, 'buffers' | 'capacity'>,
  length: number,
): void {
  if (length === 0) return
  const encoder = createOwnEncoder(device)
  for (const [index, input] of inputs.entries()) {
    const tokenBytes = countTokenBytes(input)
    for (let head = 0; head < input.heads; head += 1) {
      encoder.copyBufferToBuffer(
        from.buffers[index]!,
        head * from.capacity * tokenBytes,
        to.buffers[index]!,
        head * to.capacity * tokenBytes,
        length * tokenBytes,
      )
    }
  }
  device.queue.submit([encoder.finish()])
}

/**
 * Writes the content of a cache of `length` tokens.
 * @param contents for each input: [heads, length, head size]
 */
export function writeCache(
  device: GPUDevice,
  inputs: readonly CacheInput[],
  contents: readonly Uint8Array<ArrayBuffer>[],
  to: Pick<FixedCache, 'buffers' | 'capacity'>,
  length: number,
): void {
  for (const [index, input] of inputs.entries()) {
    const tokenBytes = countTokenBytes(input)
    for (let head = 0; head < input.heads; head += 1) {
      const start = head * length * tokenBytes
      const content = contents[index]!.subarray(start, start + length * tokenBytes)
      writeBytes(device, to.buffers[index]!, head * to.capacity * tokenBytes, content)
    }
  }
}

/** Writes bytes into a buffer. WebGPU writes multiples of four bytes, and every buffer here has room for them. */
export function writeBytes(
  device: GPUDevice,
  buffer: GPUBuffer,
  offset: number,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  const padding = -bytes.byteLength & 3
  const padded =
    padding === 0 ? bytes : Uint8Array.from({ length: bytes.length + padding }, (_, at) => bytes[at] ?? 0)
  device.queue.writeBuffer(buffer, offset, padded)
}

/** Creates a GPU buffer for kernels and copies. Rounds its size up to a multiple of 16 bytes, as ONNX Runtime requires. */
export function createStorage(device: GPUDevice, bytes: number): GPUBuffer {
  const { storage, copySource, copyTarget } = bufferUsage
  return device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage: storage | copySource | copyTarget })
}
