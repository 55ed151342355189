import { afterEach, expect, it, vi } from 'vitest'
import { chooseDevice } from './device.js'

/** Stands in for a browser with a real graphics adapter that has only these features. */
function stubAdapter(...features: readonly string[]): void {
  const adapter = {
    info: { vendor: 'amd', architecture: 'gcn-4', description: '', isFallbackAdapter: false },
    features: new Set(features),
    limits: { maxBufferSize: 2 ** 31 },
  }
  const gpu = { requestAdapter: () => Promise.resolve(adapter) }
  vi.stubGlobal('DedicatedWorkerGlobalScope', {})
  vi.stubGlobal('navigator', { gpu, hardwareConcurrency: 8 })
  // Node 20 has neither 64-bit memories nor JSPI.
  vi.stubGlobal(
    'WebAssembly',
    Object.create(WebAssembly, { Memory: { value: Object }, Suspending: { value: Object } }),
  )
}

afterEach(() => vi.unstubAllGlobals())

it('loading refuses WebGPU on an adapter without 16-bit floats', async () => {
  stubAdapter()
  await expect(chooseDevice({ device: 'webgpu' })).rejects.toMatchObject({
    code: 'backend-unavailable',
    message: expect.stringContaining("16-bit floats (shader-f16), which llama.cpp needs. Use device: 'auto'"),
  })
  expect(await chooseDevice({})).toEqual({ useGpu: false, build: 'default', description: 'CPU', threads: 4 })
})

it('loading uses a real adapter with 16-bit floats', async () => {
  stubAdapter('shader-f16')
  expect(await chooseDevice({ threads: 3 })).toEqual({
    useGpu: true,
    build: 'default',
    description: 'amd gcn-4',
    threads: 3,
  })
})
