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
}

afterEach(() => vi.unstubAllGlobals())

it('loading refuses a dtype with 16-bit floats on an adapter without them', async () => {
  stubAdapter()
  await expect(chooseDevice({ dtype: 'q4f16' })).rejects.toMatchObject({
    code: 'backend-unavailable',
    message: expect.stringContaining('this graphics adapter does not support. Use one of q4, q8, fp32'),
  })
})

it.each([
  ['WASM, which computes all files', {}, { device: 'wasm', unsupported: [] }],
  ['none if the device is requested', { device: 'webgpu' }, undefined],
  ['none if the dtype is requested', { dtype: 'q4' }, undefined],
] as const)('the fallback of an adapter without 16-bit floats is %s', async (_, options, fallback) => {
  stubAdapter()
  const chosen = await chooseDevice(options)
  expect(chosen.device).toBe('webgpu')
  if (fallback) expect(chosen.fallback).toMatchObject(fallback)
  else expect(chosen.fallback).toBeUndefined()
})

it('an adapter with 16-bit floats computes all files, and WASM is its fallback for a graph that it cannot compute', async () => {
  stubAdapter('shader-f16')
  expect(await chooseDevice({})).toMatchObject({ unsupported: [], fallback: { device: 'wasm' } })
})

it('a model on WebGPU is limited by the largest buffer of the adapter', async () => {
  stubAdapter('shader-f16')
  expect(await chooseDevice({})).toMatchObject({
    device: 'webgpu',
    description: 'amd gcn-4',
    memory: { maxTensorBytes: 2 ** 31, maxModelBytes: Infinity },
  })
})

it('a model on WASM is limited by the memory of WebAssembly, or by a smaller budget', async () => {
  stubAdapter('shader-f16')
  expect((await chooseDevice({ device: 'wasm' })).memory).toMatchObject({ maxModelBytes: 2 ** 32 })
  expect((await chooseDevice({ device: 'wasm', memoryBudgetBytes: 1000 })).memory).toMatchObject({
    maxModelBytes: 1000,
    limitedBy: 'the option "memoryBudgetBytes"',
  })
})
