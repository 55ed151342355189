import { afterEach, describe, expect, it } from 'vitest'
import type { OpenFile } from '../store/readable-file.js'
import { prepareWeightFiles, type WeightFiles } from './weight-files.js'

/* A stand-in for a GPU device runs the code with which onnxruntime-web 1.30.0 takes a weight. */

const content = Uint8Array.from({ length: 3 * 2 ** 20 + 40 }, (_, index) => index % 251)

const opened: WeightFiles[] = []
afterEach(() => opened.splice(0).forEach(({ end }) => end()))

function prepare(...parameters: Parameters<typeof prepareWeightFiles>): WeightFiles {
  const files = prepareWeightFiles(...parameters)
  opened.push(files)
  return files
}

/** A file of which each read is listed: where it starts, and its size. */
function createFile() {
  const reads: (readonly [number, number])[] = []
  const state = { isBroken: false }
  const file: OpenFile = {
    byteLength: content.length,
    readInto(target, at) {
      if (state.isBroken) throw new DOMException('The file was changed.', 'NotReadableError')
      reads.push([at, target.length])
      target.set(content.subarray(at, at + target.length))
    },
  }
  return { file, reads, state }
}

interface FakeBuffer {
  readonly descriptor: GPUBufferDescriptor
  readonly bytes: Uint8Array<ArrayBuffer>
}

function createDevice() {
  const created: FakeBuffer[] = []
  const submitted: unknown[] = []
  const writes: number[] = []
  const createBuffer = (descriptor: GPUBufferDescriptor) => {
    const bytes = new Uint8Array(descriptor.size)
    const buffer = { descriptor, bytes, getMappedRange: () => bytes.buffer, unmap() {}, destroy() {} }
    created.push(buffer)
    return buffer
  }
  const device = {
    createBuffer,
    createCommandEncoder: () => {
      const commands: (() => void)[] = []
      return {
        copyBufferToBuffer: (from: FakeBuffer, at: number, to: FakeBuffer, toAt: number, size: number) =>
          commands.push(() => to.bytes.set(from.bytes.subarray(at, at + size), toAt)),
        finish: () => () => commands.forEach((run) => run()),
      }
    },
    queue: {
      submit(commands: Iterable<() => void>) {
        for (const run of commands) run()
        submitted.push(commands)
      },
      writeBuffer(buffer: FakeBuffer, at: number, data: Uint8Array) {
        // As WebGPU requires.
        expect(at % 4).toBe(0)
        expect(data.length % 4).toBe(0)
        writes.push(data.length)
        buffer.bytes.set(data, at)
      },
    },
  }
  return { device: device as unknown as GPUDevice, created, submitted, writes, createBuffer }
}

const padded = (sizeBytes: number) => 16 * Math.ceil(sizeBytes / 16)

/** Copies a weight to the GPU as ONNX Runtime does. */
function copyToGpu(device: GPUDevice, target: FakeBuffer, view: Uint8Array<ArrayBuffer>): void {
  const { buffer, byteOffset, byteLength } = view
  const size = padded(byteLength)
  const staging = device.createBuffer({ mappedAtCreation: true, size, usage: 6 })
  new Uint8Array(staging.getMappedRange()).set(new Uint8Array(buffer, byteOffset, byteLength))
  staging.unmap()
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(staging, 0, target as unknown as GPUBuffer, 0, size)
  device.queue.submit([encoder.finish()])
  staging.destroy()
}

/** Small and large weights, also with sizes that are not multiples of 16. */
const places = [
  [0, 1],
  [8, 1000],
  [1001, 1004],
  [16, 2 ** 20 + 16],
  [40, 2 ** 20 + 59],
  [0, content.length],
  [content.length - 5, content.length],
] as const

describe('weights on the GPU', () => {
  it.each([
    ['in an open file', () => createFile().file],
    ['in memory', () => content],
  ])('%s are written through the queue, in pieces, without a mapped buffer', (_, create) => {
    const { device, created, submitted, writes, createBuffer } = createDevice()
    const files = prepare([{ path: 'weights', data: create() }], device)
    const { data } = files.files[0]!
    for (const [start, end] of places) {
      // Left over from another weight.
      const target: FakeBuffer = createBuffer({ size: padded(end - start), usage: 8 })
      target.bytes.fill(255)
      copyToGpu(device, target, data.subarray(start, end))
      const expected = new Uint8Array(target.bytes.length)
      expected.set(content.subarray(start, end))
      expect(Buffer.compare(target.bytes, expected)).toBe(0)
    }
    files.check()
    files.end()
    expect(created).toHaveLength(places.length)
    expect(submitted).toEqual([])
    expect(Math.max(...writes)).toBe(2 ** 20)
  })

  it('in an open file are read once, and in pieces', () => {
    const { device, createBuffer } = createDevice()
    const { file, reads } = createFile()
    const files = prepare([{ path: 'weights', data: file }], device)
    const size = content.length
    copyToGpu(device, createBuffer({ size: padded(size), usage: 8 }), files.files[0]!.data.subarray(0, size))
    expect(reads).toEqual([
      [0, 2 ** 20],
      [2 ** 20, 2 ** 20],
      [2 ** 21, 2 ** 20],
      [3 * 2 ** 20, 40],
    ])
  })

  it('leave the other buffers and commands of the session as they are', () => {
    const { device, created, submitted } = createDevice()
    const files = prepare([{ path: 'weights', data: content }], device)
    // ONNX Runtime takes a weight for the CPU, and then uploads other data.
    new Uint8Array(8).set(files.files[0]!.data.subarray(0, 8))
    const staging = device.createBuffer({ mappedAtCreation: true, size: 16, usage: 6 })
    expect(created).toEqual([staging])
    device.queue.submit([device.createCommandEncoder().finish()])
    expect(submitted).toHaveLength(1)
    files.check()
  })

  it('are copied by ONNX Runtime again after the session', () => {
    const { device } = createDevice()
    const { createBuffer, createCommandEncoder, queue } = device
    const { submit } = queue
    prepare([], device).end()
    expect(device).toMatchObject({ createBuffer, createCommandEncoder })
    expect(queue.submit).toBe(submit)
  })
})

describe('weights on the CPU', () => {
  it.each([[false], [true]])('have the bytes of their file (in a session on the GPU: %s)', (isGpu) => {
    const { device } = createDevice()
    const { file } = createFile()
    const files = prepare([{ path: 'weights', data: file }], isGpu ? device : undefined)
    for (const [start, end] of places) {
      const heap = new Uint8Array(end - start + 2)
      heap.set(files.files[0]!.data.subarray(start, end), 1)
      expect(Buffer.compare(heap.subarray(1, -1), content.subarray(start, end))).toBe(0)
    }
    files.check()
  })

  it('are read in pieces in a session on the GPU, which has no copy of one', () => {
    const { file, reads } = createFile()
    const files = prepare([{ path: 'weights', data: file }], createDevice().device)
    const size = 2 ** 21
    new Uint8Array(size).set(files.files[0]!.data.subarray(40, 40 + size))
    expect(reads).toEqual([
      [40, 2 ** 20],
      [40 + 2 ** 20, 2 ** 20],
    ])
    const { set } = Uint8Array.prototype
    files.end()
    expect(Uint8Array.prototype.set).not.toBe(set)
    expect(String(Uint8Array.prototype.set)).toContain('[native code]')
  })
})

describe('a weight that cannot be read', () => {
  it.each([
    ['a small one on the GPU', 1000, true],
    ['a large one on the GPU', content.length, true],
    ['one on the CPU', content.length, false],
  ])('is reported, whatever ONNX Runtime makes of the error: %s', (_, size, isGpu) => {
    const { device, createBuffer } = createDevice()
    const { file, state } = createFile()
    const files = prepare([{ path: 'weights', data: file }], isGpu ? device : undefined)
    state.isBroken = true
    const target = createBuffer({ size: padded(size), usage: 8 })
    expect(() => copyToGpu(device, target, files.files[0]!.data.subarray(0, size))).toThrow()
    expect(files.check).toThrow(expect.objectContaining({ name: 'NotReadableError' }))
  })
})

describe('a version of ONNX Runtime that copies weights in another way is refused', () => {
  const weights = () => {
    const { device, createBuffer } = createDevice()
    const files = prepare([{ path: 'weights', data: createFile().file }], device)
    const { data } = files.files[0]!
    return { device, files, data, target: createBuffer({ size: 2 ** 21, usage: 8 }) }
  }
  const unknown = /copies weights to the GPU in an unknown way/

  it.each([1000, 2 ** 21])('without a mapped buffer of the same size: %i bytes', (size) => {
    const { device, data } = weights()
    const { buffer } = data.subarray(0, size)
    expect(() => device.createBuffer({ mappedAtCreation: true, size: size + 64, usage: 6 })).toThrow(unknown)
    expect(() => new Uint8Array(buffer, 0, size)).toThrow(unknown)
  })

  it.each([1000, 2 ** 21])('if it reads a weight before it creates the buffer: %i bytes', (size) => {
    const { buffer, byteLength } = weights().data.subarray(0, size)
    expect(() => new Uint8Array(buffer, 0, byteLength)).toThrow(unknown)
  })

  it('if it takes another weight before the first one is copied', () => {
    const { device, data, files } = weights()
    void data.subarray(0, 1000).buffer
    device.createBuffer({ mappedAtCreation: true, size: 1008, usage: 6 })
    expect(() => data.subarray(0, 10)).toThrow(unknown)
    expect(files.check).toThrow(unknown)
  })

  it('if it never copies the last weight', () => {
    const { device, data, files } = weights()
    void data.subarray(0, 1000).buffer
    device.createBuffer({ mappedAtCreation: true, size: 1008, usage: 6 })
    expect(files.check).toThrow(unknown)
  })

  it('if it copies a large weight without its buffer or `set`', () => {
    expect(() => Array.from(weights().data.subarray(0, 2 ** 21))).toThrow(unknown)
  })

  it('if it reads a file without taking parts of it', () => {
    const { data } = weights()
    expect(() => new Uint8Array(100).set(data)).toThrow(TypeError)
    expect(() => data.slice(0, 4)).toThrow(TypeError)
  })
})
