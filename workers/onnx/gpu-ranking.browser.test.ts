import { afterAll, beforeAll, expect, it } from 'vitest'
import { drawUniform } from './draw-uniform.test-support.js'
import { decodeFloat16 } from './float16.js'
import { createGpuRanking, rankingSize, readRanking } from './gpu-ranking.js'
import { rankLogits, type Ranking } from './ranking.js'
import { createReadback, readWords } from './step-readback.js'
import { bufferUsage } from './webgpu-flags.js'

let device: GPUDevice

beforeAll(async () => {
  const adapter = await navigator.gpu.requestAdapter()
  device = await adapter!.requestDevice()
  device.pushErrorScope('validation')
})

afterAll(async () => {
  expect(await device.popErrorScope()).toBeNull()
  device.destroy()
})

async function rankOnGpu(
  stored: Uint8Array<ArrayBuffer>,
  logitsType: 'float32' | 'float16',
  vocabulary: number,
  chosenId: number,
  count: number,
): Promise<Ranking> {
  const { storage, copyTarget } = bufferUsage
  const logits = device.createBuffer({ size: stored.byteLength, usage: storage | copyTarget })
  const tokenId = device.createBuffer({ size: 8, usage: storage | copyTarget })
  device.queue.writeBuffer(logits, 0, stored)
  device.queue.writeBuffer(tokenId, 0, Uint32Array.of(chosenId, 0))
  const ranking = createGpuRanking(device, { logits, logitsType, vocabulary, tokenId })
  const readback = createReadback(device, rankingSize)
  ranking.setCount(count)
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  ranking.encode(pass)
  pass.end()
  encoder.copyBufferToBuffer(ranking.result, 0, readback, 0, rankingSize)
  device.queue.submit([encoder.finish()])
  const words = await readWords(readback, rankingSize)
  for (const buffer of [logits, tokenId, readback]) buffer.destroy()
  ranking.destroy()
  return readRanking(words, count)
}

function expectSame(actual: Ranking, expected: Ranking): void {
  expect(actual.top).toEqual(expected.top)
  expect(actual.chosenLogit).toBe(expected.chosenLogit)
  // WGSL's exp is less exact than JavaScript's.
  expect(actual.logSum).toBeCloseTo(expected.logSum, 4)
}

const shapes: Record<string, (id: number) => number> = {
  'different logits': (id) => 20 * (drawUniform(1, 0, id) - 0.5),
  'many ties': (id) => Math.round(4 * drawUniform(2, 0, id)),
  'masked tokens': (id) =>
    drawUniform(3, 0, id) < 0.9 && id !== 2 ? -Infinity : 1e3 * drawUniform(4, 0, id),
  'only three tokens': (id) => (id % 97 === 5 && id < 300 ? -id : -Infinity),
  'the largest last': (id) => id / 1e4,
}

it.each(Object.entries(shapes))('ranks as on the CPU: %s', async (_name, shape) => {
  for (const [vocabulary, count] of [
    [8, 10],
    [1000, 20],
    [49_152, 5],
    [70_001, 0],
    [262_400, 20],
  ] as const) {
    const logits = Float32Array.from({ length: vocabulary }, (_, id) => shape(id))
    const chosenId = Math.floor(vocabulary / 3)
    const stored = new Uint8Array(logits.buffer)
    const ranked = await rankOnGpu(stored, 'float32', vocabulary, chosenId, count)
    expectSame(ranked, rankLogits(logits, chosenId, count))
  }
})

it('reads half floats, also with an odd vocabulary', async () => {
  const halves = Uint16Array.from({ length: 5002 }, (_, id) => Math.floor(drawUniform(5, 0, id) * 0x7000))
  const logits = Float32Array.from(halves.subarray(0, 5001), decodeFloat16)
  const stored = new Uint8Array(halves.buffer)
  expectSame(await rankOnGpu(stored, 'float16', 5001, 5000, 20), rankLogits(logits, 5000, 20))
})
