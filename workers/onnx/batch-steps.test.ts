import { afterEach, expect, it, vi } from 'vitest'
import { createBatch, createBatchBuffers, type BatchStep } from './batch-steps.js'
import { greedy } from './sampler.js'
import { createStepSampling } from './step-sampling.js'

/* The device is a stand-in: it copies and writes, but computes nothing. */

afterEach(() => vi.unstubAllGlobals())

type FakeBuffer = GPUBuffer & { readonly words: Uint32Array }

function openDevice() {
  const counts = { readbacks: 0 }
  const state = { dropsSubmits: false }
  const createBuffer = ({ size, usage }: GPUBufferDescriptor) => {
    const words = new Uint32Array(size / 4)
    if (usage & 1) counts.readbacks += 1
    return {
      size,
      usage,
      words,
      mapAsync: () => Promise.resolve(),
      getMappedRange: (start: number, length: number) => words.buffer.slice(start, start + length),
      unmap() {},
      destroy() {},
    } as unknown as FakeBuffer
  }
  const createCommandEncoder = () => {
    const commands: (() => void)[] = []
    return {
      beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }),
      copyBufferToBuffer(from: FakeBuffer, fromOffset: number, to: FakeBuffer, offset: number, size: number) {
        commands.push(() =>
          to.words.set(from.words.subarray(fromOffset / 4, (fromOffset + size) / 4), offset / 4),
        )
      },
      finish: () => commands,
    }
  }
  const device = {
    createBuffer,
    createCommandEncoder,
    createBindGroup: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipeline: () => ({}),
    queue: {
      writeBuffer(
        buffer: FakeBuffer,
        offset: number,
        data: Uint32Array | BigInt64Array,
        start = 0,
        size?: number,
      ) {
        const end = size === undefined ? undefined : start + size
        const part = data.slice(start, end)
        buffer.words.set(new Uint32Array(part.buffer), offset / 4)
      },
      submit([commands]: (() => void)[][]) {
        if (!state.dropsSubmits) for (const command of commands!) command()
      },
    },
  } as unknown as GPUDevice
  vi.stubGlobal('GPUDevice', { prototype: device })
  return { device, counts, state, createBuffer }
}

function openBatch() {
  const { device, counts, state, createBuffer } = openDevice()
  const model = { device, vocabulary: 32, logitsType: 'float32' } as const
  const fused = { bind: () => [], writeLengths() {}, destroy() {} }
  const batch = createBatch(model, createBatchBuffers(model, 2), [{ rows: 2, fused }])
  const rows = [5, 6].map((id) => {
    const tokenId = createBuffer({ size: 8, usage: 128 })
    tokenId.words[0] = id
    const logits = createBuffer({ size: 128, usage: 128 })
    const sampling = createStepSampling(device, { ...model, logits, tokenId })
    sampling.start(undefined, greedy, 0, [])
    return { cache: { buffers: [] }, tensors: { tokenId, logits }, sampling }
  })
  const createSteps = (position: number, isMasked = false) =>
    rows.map(({ sampling, ...row }): BatchStep => ({
      ...row,
      position,
      length: position + 2,
      sampling: isMasked ? undefined : sampling,
    }))
  return { batch, rows, counts, state, createSteps }
}

it('steps in which all conversations are masked need no buffer to read back', async () => {
  const { batch, counts, createSteps } = openBatch()
  const before = counts.readbacks
  for (let position = 0; position < 20; position += 1)
    expect(batch.submit(createSteps(position, true))).toEqual([undefined, undefined])
  expect(counts.readbacks).toBe(before)
  for (let position = 20; position < 40; position += 1) await Promise.all(batch.submit(createSteps(position)))
  expect(counts.readbacks).toBe(before + 1)
})

it('a step that the GPU drops is an error for each of its conversations, not the token of an earlier step', async () => {
  const { batch, state, createSteps } = openBatch()
  expect((await Promise.all(batch.submit(createSteps(0)))).map((token) => token?.id)).toEqual([5, 6])
  state.dropsSubmits = true
  const dropped = await Promise.allSettled(batch.submit(createSteps(1)))
  for (const result of dropped)
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'memory-exceeded' } })
  state.dropsSubmits = false
  expect((await Promise.all(batch.submit(createSteps(2)))).map((token) => token?.id)).toEqual([5, 6])
})

it('a dropped step of one conversation is an error too', async () => {
  const { rows, state } = openBatch()
  const { sampling } = rows[0]!
  expect((await sampling.submit(0, [])).id).toBe(5)
  state.dropsSubmits = true
  await expect(sampling.submit(1, [])).rejects.toMatchObject({ code: 'memory-exceeded' })
})
