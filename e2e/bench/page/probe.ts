// Runs in a worker. Importing it wraps WebGPU and WebAssembly; import it before a runtime starts.
// It wraps prototypes, not instances, so that it also counts calls by a runtime that wraps its device.
import { emptyShader } from './empty-shader.js'
import { answerCounts, readRole, type Counts } from './probe-channel.js'

type Counter = 'submits' | 'dispatches' | 'bindGroups' | 'buffers' | 'bytesAllocated' | 'bytesReadBack'

const counters: Record<Counter, number> = {
  submits: 0,
  dispatches: 0,
  bindGroups: 0,
  buffers: 0,
  bytesAllocated: 0,
  bytesReadBack: 0,
}

/** The live buffers of each device. */
const devices = new Set<Set<GPUBuffer>>()
const buffersOf = new WeakMap<GPUDevice, Set<GPUBuffer>>()
const ownerOf = new WeakMap<GPUBuffer, Set<GPUBuffer>>()
/** `GPUMapMode.READ` (WebGPU, 5.1.2), which TypeScript's library leaves out. */
const mapModeRead = 1
const memories: WeakRef<WebAssembly.Memory>[] = []

countSubmits()
countBuffers()
countBindGroups()
countReadBack()
countDispatches(readRole(self.name).mode !== 'real')
if (readRole(self.name).mode === 'empty') emptyShaders()
if (readRole(self.name).mode === 'no-op') sampleUnderMask()
countMemories()

/** Starts replying to the page's requests for counters. */
export function startProbe(): void {
  answerCounts(self.name, readCounts)
}

function readCounts(): Counts {
  return {
    ...counters,
    gpuBytesAlive: sum([...devices].map((buffers) => sum(Array.from(buffers, (buffer) => buffer.size)))),
    wasmBytes: sum(memories.map((memory) => memory.deref()?.buffer.byteLength ?? 0)),
  }
}

function countSubmits(): void {
  const { submit } = GPUQueue.prototype
  GPUQueue.prototype.submit = function (...parameters) {
    counters.submits += 1
    return submit.apply(this, parameters)
  }
}

function countBuffers(): void {
  const { createBuffer, destroy: destroyDevice } = GPUDevice.prototype
  const { destroy: destroyBuffer } = GPUBuffer.prototype
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor)
    counters.buffers += 1
    counters.bytesAllocated += descriptor.size
    const alive = buffersOf.get(this) ?? new Set()
    buffersOf.set(this, alive.add(buffer))
    devices.add(alive)
    ownerOf.set(buffer, alive)
    return buffer
  }
  GPUBuffer.prototype.destroy = function () {
    ownerOf.get(this)?.delete(this)
    return destroyBuffer.call(this)
  }
  GPUDevice.prototype.destroy = function () {
    buffersOf.get(this)?.clear()
    return destroyDevice.call(this)
  }
}

function countBindGroups(): void {
  const { createBindGroup } = GPUDevice.prototype
  GPUDevice.prototype.createBindGroup = function (descriptor) {
    counters.bindGroups += 1
    return createBindGroup.call(this, descriptor)
  }
}

function countReadBack(): void {
  const { mapAsync } = GPUBuffer.prototype
  GPUBuffer.prototype.mapAsync = function (this: GPUBuffer, mode, offset = 0, size = this.size - offset) {
    if (mode & mapModeRead) counters.bytesReadBack += size
    return mapAsync.call(this, mode, offset, size)
  }
}

function countDispatches(isNoOp: boolean): void {
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = GPUComputePassEncoder.prototype
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (x, y = 1, z = 1) {
    counters.dispatches += 1
    return dispatchWorkgroups.call(this, isNoOp ? 0 : x, y, z)
  }
  GPUComputePassEncoder.prototype.dispatchWorkgroupsIndirect = function (buffer, offset) {
    counters.dispatches += 1
    return isNoOp
      ? dispatchWorkgroups.call(this, 0, 1, 1)
      : dispatchWorkgroupsIndirect.call(this, buffer, offset)
  }
}

/** Shaders then keep only their bindings. */
function emptyShaders(): void {
  const { createShaderModule } = GPUDevice.prototype
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    return createShaderModule.call(this, { ...descriptor, code: emptyShader(descriptor.code) })
  }
}

/**
 * Stands in for rivulet's sampler, which computes nothing without workgroups: reads back the first token that the last mask
 * allows. Answers without a mask stay as they are.
 */
function sampleUnderMask(): void {
  /** The masks of a vocabulary of 49,152 tokens, and the size of a token that is read back. */
  const [maskBytes, tokenBytes] = [49_152 / 8, 8]
  let mask: Int32Array | undefined
  const { writeBuffer } = GPUQueue.prototype
  GPUQueue.prototype.writeBuffer = function (...parameters) {
    const [, , data] = parameters
    if (data instanceof Int32Array && data.byteLength === maskBytes) mask = data
    return writeBuffer.apply(this, parameters)
  }
  const { getMappedRange } = GPUBuffer.prototype
  GPUBuffer.prototype.getMappedRange = function (...parameters) {
    const range = getMappedRange.apply(this, parameters)
    const word = this.size === tokenBytes ? (mask?.findIndex((bits) => bits !== 0) ?? -1) : -1
    if (!mask || word < 0) return range
    const bits = mask[word]!
    mask = undefined
    return BigInt64Array.of(BigInt(word * 32 + 31 - Math.clz32(bits & -bits))).buffer
  }
}

/** ONNX Runtime's builds create their memory in JavaScript, with and without threads. */
function countMemories(): void {
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(Memory, parameters: ConstructorParameters<typeof WebAssembly.Memory>) {
      const memory = new Memory(...parameters)
      memories.push(new WeakRef(memory))
      return memory
    },
  })
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
