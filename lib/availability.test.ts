import { afterEach, expect, it, vi } from 'vitest'
import { availability } from './availability.js'
import { llamaCpp } from './llama-cpp.js'
import { onnx } from './onnx.js'
import { webLlm } from './web-llm.js'

/** Stands in for a browser with a graphics adapter that has only these features. */
function stubAdapter(...features: readonly string[]): void {
  const adapter = {
    info: { vendor: 'amd', architecture: 'gcn-4', description: '', isFallbackAdapter: false },
    features: new Set(features),
    limits: { maxBufferSize: 2 ** 31 },
  }
  vi.stubGlobal('navigator', { gpu: { requestAdapter: () => Promise.resolve(adapter) } })
}

afterEach(() => vi.unstubAllGlobals())

const needing16BitFloats = [
  llamaCpp({ device: 'webgpu' }),
  onnx({ dtype: 'q4f16' }),
  webLlm({ model: 'Qwen3-0.6B-q4f16_1-MLC' }),
]

it('a backend that needs 16-bit floats is unavailable on an adapter without them', async () => {
  stubAdapter('subgroups')
  const { backends } = await availability(...needing16BitFloats)
  expect(backends.map(({ name, isAvailable }) => [name, isAvailable])).toEqual([
    ['llama-cpp', false],
    ['onnx', false],
    ['web-llm', false],
  ])
  for (const { reason } of backends) expect(reason).toContain('16-bit floats')
})

it('the same backends are available on an adapter with 16-bit floats', async () => {
  stubAdapter('shader-f16')
  const { backends } = await availability(...needing16BitFloats)
  expect(backends.every(({ isAvailable, isSlow }) => isAvailable && !isSlow)).toBe(true)
})

it('onnx() and llamaCpp() are available without 16-bit floats if nothing insists on them', async () => {
  stubAdapter()
  const { backends } = await availability(onnx(), onnx({ device: 'webgpu', dtype: 'q4' }), llamaCpp())
  expect(backends.every(({ isAvailable }) => isAvailable)).toBe(true)
})
