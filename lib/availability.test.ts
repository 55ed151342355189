import { afterEach, expect, it, vi } from 'vitest'
import { availability } from './availability.js'
import { llamaCppCompat } from './llama-cpp-compat.js'
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
  vi.stubGlobal('document', {})
  vi.stubGlobal('navigator', { gpu: { requestAdapter: () => Promise.resolve(adapter) } })
  // Node 20 has neither 64-bit memories nor JSPI.
  vi.stubGlobal(
    'WebAssembly',
    Object.create(WebAssembly, { Memory: { value: Object }, Suspending: { value: Object } }),
  )
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

/** Stands in for a browser without 64-bit memories and JSPI, such as Safari. */
function stubOldWebAssembly(): void {
  vi.stubGlobal('document', {})
  vi.stubGlobal('navigator', {})
  const Memory = () => {
    throw new TypeError('unknown address type')
  }
  vi.stubGlobal('WebAssembly', Object.create(WebAssembly, { Memory: { value: Memory } }))
}

it('llamaCpp() is unavailable without 64-bit memories, and says so', async () => {
  stubOldWebAssembly()
  const { wasm, backends } = await availability(llamaCpp())
  expect(wasm).toMatchObject({ hasMemory64: false, hasJspi: false })
  expect(backends).toMatchObject([
    { isAvailable: false, reason: expect.stringMatching(/64-bit addresses.*llamaCpp\(\{ compat \}\)/) },
  ])
})

it('llamaCpp() is available without 64-bit memories on its compatibility build, and slow', async () => {
  stubOldWebAssembly()
  const { backends } = await availability(llamaCpp({ compat: llamaCppCompat }), onnx({ device: 'wasm' }))
  expect(backends).toMatchObject([
    { name: 'llama-cpp', isAvailable: true, isSlow: true },
    { name: 'onnx', isAvailable: true, isSlow: false },
  ])
})

it.each([
  ['an isolated page', true, true, true],
  ['a page that is not isolated', false, true, false],
  ['an isolated page without SharedArrayBuffer, as in some versions of WebKit', true, false, false],
])('threads on %s: %s, %s, %s', async (_, crossOriginIsolated, hasSharedMemory, hasThreads) => {
  vi.stubGlobal('document', {})
  vi.stubGlobal('navigator', {})
  vi.stubGlobal('crossOriginIsolated', crossOriginIsolated)
  vi.stubGlobal('SharedArrayBuffer', hasSharedMemory ? SharedArrayBuffer : undefined)
  expect((await availability()).wasm).toMatchObject({ hasThreads })
})
