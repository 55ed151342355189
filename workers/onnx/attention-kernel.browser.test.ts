import { expect, inject, it } from 'vitest'
import {
  listBindings,
  packAttentionGroup,
  writeAttentionKernel,
  type AttentionShape,
} from './attention-kernel.js'
import { decodeFloat16 } from './float16.js'
import { encodeFloat16 } from './float16-model.test-support.js'
import { createGpuDevice } from './gpu-device.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/* Compares the kernel with attention computed here, on random tensors. */

/** More than a tile of the kernel. */
const capacity = 1030

interface Tensors {
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly keys: Float32Array
  readonly values: Float32Array
  readonly cosines: Float32Array
  readonly sines: Float32Array
}

/** Returns numbers from -1 to 1, which 16-bit floats have exactly. */
function createNumbers(length: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.round((state / 2 ** 31 - 1) * 256) / 256
  })
}

function createTensors({ heads, cacheHeads, headSize, rotary }: AttentionShape): Tensors {
  const cacheSize = cacheHeads * capacity * headSize
  const tableSize = capacity * (rotary?.width ?? 0)
  const sizes = [heads * headSize, cacheHeads * headSize, cacheHeads * headSize, cacheSize, cacheSize]
  const [query, key, value, keys, values, cosines, sines] = [...sizes, tableSize, tableSize].map(
    createNumbers,
  )
  return {
    query: query!,
    key: key!,
    value: value!,
    keys: keys!,
    values: values!,
    cosines: cosines!,
    sines: sines!,
  }
}

/** Rotates a head at a position. */
function rotate(head: Float32Array, { rotary }: AttentionShape, tensors: Tensors, position: number) {
  if (!rotary) return head
  const { width, isInterleaved } = rotary
  return head.map((own, element) => {
    if (element >= 2 * width) return own
    const isFirst = isInterleaved ? element % 2 === 0 : element < width
    const distance = isInterleaved ? 1 : width
    const other = head[isFirst ? element + distance : element - distance]!
    const place = position * width + (isInterleaved ? element >> 1 : element % width)
    return own * tensors.cosines[place]! + (isFirst ? -other : other) * tensors.sines[place]!
  })
}

function computeProduct(keys: Float32Array, start: number, query: Float32Array, scale: number): number {
  let sum = 0
  for (const [index, each] of query.entries()) sum += scale * each * keys[start + index]!
  return sum
}

function computeAttention(shape: AttentionShape, tensors: Tensors, length: number) {
  const { heads, cacheHeads, headSize, scale } = shape
  const take = (tensor: Float32Array, head: number) => tensor.subarray(head * headSize, (head + 1) * headSize)
  const last = length - 1
  const [keys, values] = [tensors.keys.slice(), tensors.values.slice()]
  for (let head = 0; head < cacheHeads; head += 1) {
    keys.set(rotate(take(tensors.key, head), shape, tensors, last), (head * capacity + last) * headSize)
    values.set(take(tensors.value, head), (head * capacity + last) * headSize)
  }
  const output = new Float32Array(heads * headSize)
  for (let head = 0; head < heads; head += 1) {
    const query = rotate(take(tensors.query, head), shape, tensors, last)
    const start = Math.floor((head * cacheHeads) / heads) * capacity
    const scores = Array.from({ length }, (_, token) =>
      computeProduct(keys, (start + token) * headSize, query, scale),
    )
    const largest = Math.max(...scores)
    const weights = scores.map((score) => Math.exp(score - largest))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    for (const [token, weight] of weights.entries())
      for (let index = 0; index < headSize; index += 1)
        output[head * headSize + index]! += (weight / total) * values[(start + token) * headSize + index]!
  }
  return { output, keys, values }
}

function findLargestDifference(one: Float32Array, other: Float32Array): number {
  let largest = 0
  for (let index = 0; index < one.length; index += 1) {
    const difference = Math.abs(one[index]! - other[index]!)
    if (!(difference <= largest)) largest = difference
  }
  return largest
}

async function runKernel(device: GPUDevice, shape: AttentionShape, tensors: Tensors, length: number) {
  const isHalf = shape.type === 'float16'
  const module = device.createShaderModule({ code: writeAttentionKernel(shape) })
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } })
  const { query, key, value } = tensors
  const { conversations } = shape
  // The other conversations of the step have the same tensors, in another order.
  const addOthers = (tensor: Float32Array) => {
    const other = tensor.toReversed()
    return conversations === undefined ? tensor : Float32Array.of(...other, ...other, ...tensor)
  }
  const outputSize = shape.heads * shape.headSize
  const contents: Readonly<Record<string, Float32Array | Int32Array | Uint32Array<ArrayBuffer>>> = {
    ...tensors,
    query: addOthers(shape.isPacked ? Float32Array.of(...query, ...key, ...value) : query),
    key: addOthers(key),
    value: addOthers(value),
    lastIndex: Int32Array.of(length - 1),
    // The dispatch computes the second and the third conversation.
    group: packAttentionGroup(1, [0, length - 1]),
    output: addOthers(new Float32Array(outputSize)),
    keys1: tensors.keys,
    values1: tensors.values,
    ...(conversations !== undefined && {
      keys: tensors.keys.toReversed(),
      values: tensors.values.toReversed(),
    }),
  }
  const { storage, uniform, copySource, copyTarget, mapRead } = bufferUsage
  const buffers = new Map(
    Array.from(listBindings(shape).values(), (name) => {
      const content = contents[name]!
      const bytes =
        content instanceof Float32Array && isHalf ? Uint16Array.from(content, encodeFloat16) : content
      const buffer = device.createBuffer({
        size: Math.max(16, Math.ceil(bytes.byteLength / 4) * 4),
        usage: (name === 'group' ? uniform : storage) | copySource | copyTarget,
      })
      device.queue.writeBuffer(buffer, 0, bytes)
      return [name, buffer]
    }),
  )
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  const entries = Array.from(listBindings(shape), ([binding, name]) => ({
    binding,
    resource: { buffer: buffers.get(name)! },
  }))
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
  pass.dispatchWorkgroups(shape.heads, conversations ?? 1)
  pass.end()
  const cache = conversations === undefined ? ['keys', 'values'] : ['keys1', 'values1']
  const read = ['output', ...cache].map((name) => {
    const buffer = buffers.get(name)!
    const copy = device.createBuffer({ size: buffer.size, usage: copyTarget | mapRead })
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size)
    return copy
  })
  device.queue.submit([encoder.finish()])
  const [output, keys, values] = await Promise.all(
    read.map(async (copy) => {
      await copy.mapAsync(mapMode.read)
      const mapped = copy.getMappedRange()
      return isHalf
        ? Float32Array.from(new Uint16Array(mapped), decodeFloat16)
        : new Float32Array(mapped).slice()
    }),
  )
  for (const buffer of [...buffers.values(), ...read]) buffer.destroy()
  return { output: output!.subarray(-outputSize), keys: keys!, values: values! }
}

const shapes: Record<string, Omit<AttentionShape, 'type'>> = {
  'grouped heads': {
    heads: 4,
    cacheHeads: 2,
    headSize: 64,
    scale: 0.125,
    isPacked: false,
    conversations: undefined,
    rotary: { width: 32, isInterleaved: false },
  },
  'one tensor for query, key and value, and heads that are partly rotated': {
    heads: 4,
    cacheHeads: 2,
    headSize: 80,
    scale: 0.2,
    isPacked: true,
    conversations: undefined,
    rotary: { width: 16, isInterleaved: false },
  },
  'two conversations of three': {
    heads: 4,
    cacheHeads: 2,
    headSize: 64,
    scale: 0.125,
    isPacked: false,
    conversations: 2,
    rotary: { width: 32, isInterleaved: false },
  },
  'two conversations of three, with one tensor for query, key and value': {
    heads: 2,
    cacheHeads: 1,
    headSize: 32,
    scale: 1,
    isPacked: true,
    conversations: 2,
    rotary: { width: 16, isInterleaved: true },
  },
  'neighbors rotated together': {
    heads: 2,
    cacheHeads: 1,
    headSize: 32,
    scale: 1,
    isPacked: false,
    conversations: undefined,
    rotary: { width: 16, isInterleaved: true },
  },
  'large heads that are rotated already': {
    heads: 1,
    cacheHeads: 1,
    headSize: 256,
    scale: 1 / 16,
    isPacked: false,
    conversations: undefined,
    rotary: undefined,
  },
}

// A busy machine takes long to compile a shader.
it.each(
  inject('floatTypes').flatMap((type) =>
    // A software adapter compiles slowly, so `npm test` has one shape.
    Object.entries(inject('isSoak') ? shapes : { 'grouped heads': shapes['grouped heads']! }).map(
      ([name, shape]) => ({ name, type, shape }),
    ),
  ),
)(
  'attention of one token, and the cache after it: $name ($type)',
  { timeout: 120_000 },
  async ({ type, shape }) => {
    const device = await createGpuDevice()
    const attention = { ...shape, type }
    const tensors = createTensors(attention)
    // The first token, and the first one after a tile.
    for (const length of [1, 1025]) {
      const expected = computeAttention(attention, tensors, length)
      const actual = await runKernel(device, attention, tensors, length)
      for (const name of ['output', 'keys', 'values'] as const) {
        expect(actual[name].length).toBe(expected[name].length)
        const difference = findLargestDifference(actual[name], expected[name])
        expect(difference, `${name} at ${length} tokens`).toBeLessThan(type === 'float16' ? 2e-3 : 1e-5)
      }
    }
    device.destroy()
  },
)
