import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeFloat16 } from './float16.js'
import { createGpuSampler, type GpuSampler } from './gpu-sampler.js'
import { noToken } from './sampler-arithmetic.js'
import { drawUniform } from './draw-uniform.test-support.js'
import { createTokenHistory, greedy, sampleToken, type Sampling } from './sampler.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

let device: GPUDevice

beforeAll(async () => {
  const adapter = await navigator.gpu.requestAdapter()
  // No features and WebGPU's default limits, which every device has.
  device = await adapter!.requestDevice()
  device.pushErrorScope('validation')
})

afterAll(async () => {
  expect(await device.popErrorScope()).toBeNull()
  device.destroy()
})

/** Stands in for a model: the logits of several positions, as numbers and as stored on the GPU. */
interface Rows {
  readonly logitsType: 'float32' | 'float16'
  readonly rows: readonly Float32Array[]
  readonly stored: readonly Uint8Array<ArrayBuffer>[]
}

function storeFloat32(rows: readonly Float32Array[]): Rows {
  return {
    logitsType: 'float32',
    rows,
    stored: rows.map((row) => new Uint8Array(Float32Array.from(row).buffer)),
  }
}

function storeFloat16(halves: readonly Uint16Array[]): Rows {
  const padded = halves.map((row) =>
    Uint16Array.from({ length: row.length + (row.length % 2) }, (_, i) => row[i] ?? 0),
  )
  return {
    logitsType: 'float16',
    rows: halves.map((row) => Float32Array.from(row, decodeFloat16)),
    stored: padded.map((row) => new Uint8Array(row.buffer)),
  }
}

/** Rows of logits: bell-shaped; with many ties; with masked tokens; with numbers of any magnitude. */
function createRows(vocabulary: number, seed: number): Rows {
  const bell = (id: number) => {
    const draws = [0, 1, 2, 3].map((round) => drawUniform(seed, round, id) - 0.5)
    return 9 * draws.reduce((sum, draw) => sum + draw, 0)
  }
  const shapes = [
    bell,
    (id: number) => Math.round(bell(id)),
    (id: number) => (drawUniform(seed, 4, id) < 0.3 ? -Infinity : bell(id)),
    (id: number) => Math.sign(bell(id)) * 2 ** (bell(id) * 7),
  ]
  return storeFloat32(shapes.map((shape) => Float32Array.from({ length: vocabulary }, (_, id) => shape(id))))
}

/** Rows of half floats: up to 32 in steps of 1/32 or finer, with many ties; with zeros, subnormals and -Infinity. */
function createHalfRows(vocabulary: number, seed: number): Rows {
  const draw = (id: number, limit: number) => Math.floor(drawUniform(seed, limit, id) * limit)
  const normal = (id: number) => (draw(id, 2) << 15) | ((8 + draw(id, 12)) << 10) | draw(id, 1024)
  const strange = (id: number) => [0x0000, 0x8000, 0xfc00, draw(id, 1024), normal(id)][draw(id, 5)]!
  return storeFloat16(
    [normal, strange].map((shape) => Uint16Array.from({ length: vocabulary }, (_, id) => shape(id))),
  )
}

interface SamplerOnRows {
  readonly sampler: GpuSampler
  /** Samples the tokens of these positions in one submit. Position n uses row n modulo the number of rows. */
  draw(positions: readonly number[]): Promise<number[]>
  destroy(): void
}

function createSamplerOnRows({ logitsType, rows, stored }: Rows): SamplerOnRows {
  const { storage, copySource, copyTarget, mapRead } = bufferUsage
  const size = stored[0]!.byteLength
  const source = device.createBuffer({ size: size * stored.length, usage: copySource | copyTarget })
  for (const [row, bytes] of stored.entries()) device.queue.writeBuffer(source, row * size, bytes)
  const logits = device.createBuffer({ size, usage: storage | copyTarget })
  const tokenId = device.createBuffer({ size: 8, usage: storage | copySource })
  const vocabulary = rows[0]!.length
  const sampler = createGpuSampler(device, { logits, logitsType, vocabulary, tokenId })
  return {
    sampler,
    async draw(positions) {
      const readback = device.createBuffer({ size: 8 * positions.length, usage: copyTarget | mapRead })
      const encoder = device.createCommandEncoder()
      for (const [index, position] of positions.entries()) {
        encoder.copyBufferToBuffer(source, (position % stored.length) * size, logits, 0, size)
        const pass = encoder.beginComputePass()
        sampler.encode(pass, position)
        pass.end()
        encoder.copyBufferToBuffer(tokenId, 0, readback, index * 8, 8)
      }
      device.queue.submit([encoder.finish()])
      await readback.mapAsync(mapMode.read)
      const ids = Array.from(new BigInt64Array(readback.getMappedRange()), Number)
      readback.destroy()
      return ids
    },
    destroy() {
      sampler.destroy()
      for (const buffer of [source, logits, tokenId]) buffer.destroy()
    },
  }
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Samples the tokens with `sampleToken` for the same rows. */
function drawOnCpu(
  { rows }: Rows,
  sampling: Sampling,
  seed: number,
  promptIds: readonly number[],
  count: number,
) {
  const history = createTokenHistory(promptIds)
  return range(count).map((position) => {
    const id = sampleToken(rows[position % rows.length]!, sampling, history, seed, position)
    history.add(id)
    return id
  })
}

const all: Sampling = { ...greedy, temperature: 1 }
const penalties = { repetitionPenalty: 1.3, frequencyPenalty: 0.37, presencePenalty: -0.21 }
const truncations: Partial<Sampling>[] = [
  { topK: 40 },
  { topP: 0.9 },
  { minP: 0.05 },
  {
    temperature: 0.7,
    topK: 50,
    topP: 0.95,
    minP: 0.01,
    ...penalties,
    logitBias: { 3: 4.7, 11: -100, 1029: 0.3 },
  },
]
const others: Partial<Sampling>[] = [
  { temperature: 0 },
  { temperature: 0, ...penalties, logitBias: { 7: 2.5 } },
  {},
  { temperature: 0.01 },
  { temperature: 100 },
  { temperature: 1e-9, topP: 0.5 },
  { topK: 1 },
  { topK: 2000 },
  { topK: 100_000, topP: 0.999_999 },
  { temperature: 30, topK: 700, topP: 0.3 },
  { temperature: 100, topP: 0.6 },
  { topP: 1e-9 },
  { minP: 1 },
  { topP: 0.8, ...penalties },
]

describe.each<[string, Rows, readonly Partial<Sampling>[], number]>([
  ['2,048 tokens', createRows(2048, 1), [...others, ...truncations], 24],
  ['2,047 half-precision tokens', createHalfRows(2047, 2), [...others, ...truncations], 8],
  ['49,152 tokens', createRows(49_152, 3), [...truncations, {}], 4],
  ['50,257 half-precision tokens', createHalfRows(50_257, 4), truncations.slice(1), 2],
])('over %s, the GPU chooses the same tokens as the CPU', (_, data, settings, count) => {
  let subject: SamplerOnRows
  beforeAll(() => {
    subject = createSamplerOnRows(data)
  })
  afterAll(() => subject.destroy())

  it.each(settings.map((options, index) => [index, options] as const))('%i: %o', async (index, options) => {
    const sampling = { ...all, ...options }
    const promptIds = [1, 5, 5, 900]
    const seed = drawUniform(9, index) * 2 ** 32
    subject.sampler.start(sampling, seed, promptIds)
    expect(await subject.draw(range(count))).toEqual(drawOnCpu(data, sampling, seed, promptIds, count))
  })
})

it.each<[string, Partial<Sampling>, kept: readonly number[], draws: number, limit: number]>([
  // A correct sampler exceeds the limit once in a thousand times, at 7 and at 4 degrees of freedom.
  ['all tokens', {}, [0, 1, 2, 3, 4, 5, 6, 7], 600, 24.322],
  ['the top 5', { topK: 5 }, [0, 2, 4, 6, 7], 300, 18.467],
])('the GPU draws from the softmax of %s', async (_, options, kept, draws, limit) => {
  const logits = [1.5, -0.5, 3, 0, 2.25, -1, 2.2, 0.7]
  const temperature = 2
  const subject = createSamplerOnRows(storeFloat32([Float32Array.from(logits)]))
  subject.sampler.start({ ...all, ...options, temperature }, 42, [])
  const drawn = await subject.draw(range(draws))
  subject.destroy()
  const weights = kept.map((id) => Math.exp(logits[id]! / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const statistic = kept.reduce((sum, id, rank) => {
    const expected = (draws * weights[rank]!) / total
    return sum + (drawn.filter((other) => other === id).length - expected) ** 2 / expected
  }, 0)
  expect(drawn.every((id) => kept.includes(id))).toBe(true)
  expect(statistic).toBeLessThan(limit)
})

it('sampling creates no buffer and no bind group, and uses as few dispatches as possible', async () => {
  const data = createRows(4096, 5)
  const subject = createSamplerOnRows(data)
  const modes: [Partial<Sampling>, dispatches: number][] = [
    [greedy, 2],
    [{}, 2],
    [{ minP: 0.1, ...penalties }, 3],
    [{ topK: 5 }, 4],
    [{ topP: 0.9 }, 4],
    [{ topK: 5, topP: 0.9, minP: 0.1 }, 4],
    [{ temperature: 0, topK: 5, topP: 0.9, minP: 0.1 }, 2],
    [{ topK: 4096 }, 2],
  ]
  for (const [options, dispatches] of modes) {
    subject.sampler.start({ ...all, ...options }, 1, [])
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    const calls: string[] = []
    const unwatchDevice = recordCalls(device, 'create', calls)
    const unwatchQueue = recordCalls(device.queue, 'write', calls)
    const unwatchPass = recordCalls(pass, 'dispatch', calls)
    subject.sampler.encode(pass, 0)
    for (const unwatch of [unwatchDevice, unwatchQueue, unwatchPass]) unwatch()
    pass.end()
    device.queue.submit([encoder.finish()])
    expect(calls).toEqual(Array.from({ length: dispatches }, () => 'dispatchWorkgroups'))
  }
  subject.destroy()
})

/** Records the calls of an object's methods that start with `prefix`. @returns a function that stops it */
function recordCalls(target: object, prefix: string, calls: string[]): () => void {
  const names = Object.keys(Object.getPrototypeOf(target)).filter((name) => name.startsWith(prefix))
  expect(names).not.toEqual([])
  for (const name of names) {
    const method: unknown = Reflect.get(target, name)
    const recorded = (...values: unknown[]): unknown => {
      calls.push(name)
      return typeof method === 'function' ? method.apply(target, values) : undefined
    }
    Object.defineProperty(target, name, { value: recorded, configurable: true })
  }
  return () => names.forEach((name) => Reflect.deleteProperty(target, name))
}

/** Allows a share of the tokens, drawn at random. */
function createMask(vocabulary: number, share: number, seed: number): Int32Array {
  const mask = new Int32Array(Math.ceil(vocabulary / 32))
  for (let id = 0; id < vocabulary; id += 1)
    if (drawUniform(seed, 21, id) < share) mask[id >>> 5]! |= 1 << (id & 31)
  return mask
}

describe.each([
  ['2,047 tokens', createRows(2047, 11)],
  ['49,152 tokens', createRows(49_152, 12)],
  ['2,047 half-precision tokens', createHalfRows(2047, 13)],
])('over %s with a mask', (_, data) => {
  const settings: Partial<Sampling>[] = [{}, { temperature: 0 }, ...truncations]

  it.each(settings.map((options, index) => [index, options] as const))(
    'the GPU chooses the same allowed tokens as the CPU: %i, %o',
    async (index, options) => {
      const subject = createSamplerOnRows(data)
      const vocabulary = data.rows[0]!.length
      const sampling = { ...all, ...options }
      const history = createTokenHistory([1, 5])
      subject.sampler.start(sampling, index, [1, 5])
      const forced = [7, 7, 900]
      for (let position = 0; position < 12; position += 1) {
        const mask =
          position % 5 === 4 ? undefined : createMask(vocabulary, [0.5, 0.01, 0.1][position % 3]!, position)
        subject.sampler.setMask(mask)
        const row = data.rows[position % data.rows.length]!
        const expected = sampleToken(row, sampling, history, index, position, mask)
        expect(await subject.draw([position]), `position ${position}`).toEqual([expected])
        if (expected === noToken) continue
        if (mask) expect((mask[expected >>> 5]! >>> (expected & 31)) & 1).toBe(1)
        subject.sampler.noteSampled(expected)
        history.add(expected)
        // Tokens that the form forces count for the penalties, too.
        subject.sampler.addTokens(forced)
        for (const id of forced) history.add(id)
      }
      subject.destroy()
    },
  )
})

it('a mask without tokens gives no token, and the next answer has no mask', { timeout: 60_000 }, async () => {
  const data = createRows(2048, 14)
  const subject = createSamplerOnRows(data)
  subject.sampler.start(all, 1, [])
  subject.sampler.setMask(new Int32Array(64))
  expect(await subject.draw([0])).toEqual([noToken])
  subject.sampler.start(all, 1, [])
  expect(await subject.draw(range(4))).toEqual(drawOnCpu(data, all, 1, [], 4))
  subject.destroy()
})

it('a token depends on its position, not on earlier calls', async () => {
  const data = createRows(2048, 6)
  const subject = createSamplerOnRows(data)
  const expected = drawOnCpu(data, all, 3, [], 12)
  subject.sampler.start(all, 3, [])
  expect(await subject.draw([0, 1, 2])).toEqual(expected.slice(0, 3))
  expect(await subject.draw([9, 10])).toEqual(expected.slice(9, 11))
  expect(await subject.draw([4])).toEqual(expected.slice(4, 5))
  subject.sampler.start({ ...all, topK: 3 }, 4, [])
  await subject.draw([0, 1])
  subject.sampler.start(all, 3, [])
  expect(await subject.draw(range(12))).toEqual(expected)
  subject.destroy()
})

it('a resumed answer continues with the same tokens', async () => {
  const data = createRows(2048, 9)
  const subject = createSamplerOnRows(data)
  const sampling = { ...all, ...penalties, temperature: 0.7 }
  const expected = drawOnCpu(data, sampling, 5, [3, 4], 16)
  subject.sampler.start(sampling, 6, [3])
  await subject.draw(range(4))
  subject.sampler.start(sampling, 5, [3, 4], expected.slice(0, 9))
  expect(await subject.draw(range(16).slice(9))).toEqual(expected.slice(9))
  subject.destroy()
})

it('an answer starts without the tokens and the bias of the previous one', async () => {
  const data = createRows(2048, 7)
  const subject = createSamplerOnRows(data)
  const sampling = { ...greedy, ...penalties }
  subject.sampler.start({ ...sampling, logitBias: { 17: 100 } }, 0, range(2048))
  expect(await subject.draw([0])).toEqual([17])
  subject.sampler.start(sampling, 0, [4])
  expect(await subject.draw(range(8))).toEqual(drawOnCpu(data, sampling, 0, [4], 8))
  subject.destroy()
})

describe('invalid logits give no token, and valid ones after them do', () => {
  const valid = Array.from({ length: 2100 }, (_, id) => id % 97)
  const replace = (id: number, value: number) =>
    Float32Array.from(valid, (logit, i) => (i === id ? value : logit))
  const float32 = [
    replace(2099, NaN),
    replace(0, Infinity),
    replace(0, -Infinity).fill(-Infinity),
    replace(7, 200),
  ]
  const float16 = [0x7e01, 0xfe01, 0x7c00].map((half) =>
    Uint16Array.from(valid, (_, id) => (id === 2099 ? half : id % 97)),
  )
  const last = Uint16Array.from(valid, (_, id) => (id === 7 ? 0x7bff : 0x3c00))

  it.each([
    ['float32', storeFloat32(float32)],
    ['float16', storeFloat16([...float16, last])],
  ])('as %s', async (_, data) => {
    const subject = createSamplerOnRows(data)
    const modes = [
      { temperature: 0 },
      {},
      { topK: 9 },
      { topP: 0.5 },
      { minP: 0.5 },
      { logitBias: { 2099: 5 } },
    ]
    for (const options of modes) {
      const sampling = { ...all, ...options }
      subject.sampler.start(sampling, 1, [])
      expect(await subject.draw(range(4)), JSON.stringify(options)).toEqual([noToken, noToken, noToken, 7])
      expect(drawOnCpu(data, sampling, 1, [], 3)).toEqual([noToken, noToken, noToken])
    }
    subject.destroy()
  })
})

it('a bias for a token outside the vocabulary is refused', () => {
  const subject = createSamplerOnRows(createRows(2048, 8))
  const start = () => subject.sampler.start({ ...greedy, logitBias: { 2048: 1 } }, 0, [])
  expect(start).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  subject.destroy()
})
