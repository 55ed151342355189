import { describe, expect, it } from 'vitest'
import { judgeFit, type DeviceFacts } from './device-fit.js'

const gpu = {
  vendor: 'v',
  architecture: 'a',
  description: 'd',
  isFallbackAdapter: false,
  hasShaderF16: true,
  maxBufferBytes: 2 ** 31,
}
const isAvailable = (name: string) => ({ name, isAvailable: true, isSlow: false, reason: undefined })

function device(
  facts: Partial<DeviceFacts> = {},
  webgpu: DeviceFacts['availability']['webgpu'] = { adapter: gpu },
): DeviceFacts {
  return {
    availability: {
      webgpu,
      wasm: { hasThreads: true },
      backends: ['onnx', 'llama-cpp', 'web-llm'].map(isAvailable),
    },
    deviceMemoryBytes: 8 * 2 ** 30,
    freeStorageBytes: 10e9,
    ...facts,
  }
}

const small = { runtime: 'llama-cpp', sizeBytes: 100e6, memoryBytes: 200e6 } as const
const noGpu = { unavailable: 'This browser has no WebGPU.' }

describe('a model', () => {
  it('fits where there is room in memory and on the disk', () => {
    expect(judgeFit(small, device()).kind).toBe('fits')
  })

  it('cannot run where its runtime cannot, for the runtime’s own reason', () => {
    const { availability, ...facts } = device()
    const backends = [{ name: 'web-llm', isAvailable: false, isSlow: false, reason: 'No WebGPU.' }]
    const fit = judgeFit(
      { ...small, runtime: 'web-llm' },
      { ...facts, availability: { ...availability, backends } },
    )
    expect(fit).toEqual({ kind: 'impossible', reason: 'No WebGPU.' })
  })

  it('of 16-bit floats cannot run on an adapter without them', () => {
    const facts = device({}, { adapter: { ...gpu, hasShaderF16: false } })
    expect(judgeFit({ ...small, runtime: 'web-llm', needsFloat16: true }, facts).kind).toBe('impossible')
  })

  it('needs room on the disk for what is not there yet', () => {
    const facts = device({ freeStorageBytes: 60e6 })
    expect(judgeFit(small, facts)).toEqual({
      kind: 'impossible',
      reason: 'Needs 100 MB of storage; the browser gives this site 60.0 MB more.',
    })
    expect(judgeFit(small, facts, 50e6).kind).toBe('fits')
  })

  it('cannot be larger than WebAssembly’s memory, but on a graphics card', () => {
    const large = { ...small, memoryBytes: 5e9 }
    expect(judgeFit(large, device()).kind).toBe('impossible')
    expect(judgeFit({ ...large, runtime: 'onnx' }, device()).kind).toBe('fits')
    expect(judgeFit({ ...large, runtime: 'onnx' }, device({}, noGpu)).kind).toBe('impossible')
  })

  it('is tight where it takes more than half of what the device has', () => {
    const facts = device({ deviceMemoryBytes: 2 * 2 ** 30 })
    expect(judgeFit({ ...small, memoryBytes: 1.2e9 }, facts).kind).toBe('tight')
    expect(judgeFit(small, facts).kind).toBe('fits')
  })

  it('is slow on the processor when it is large', () => {
    expect(judgeFit({ ...small, memoryBytes: 1e9 }, device({}, noGpu)).kind).toBe('slow')
    expect(judgeFit(small, device({}, noGpu)).kind).toBe('fits')
    const software = device({}, { adapter: { ...gpu, isFallbackAdapter: true } })
    expect(judgeFit({ ...small, memoryBytes: 1e9 }, software).kind).toBe('slow')
  })

  it('of unknown size is not judged', () => {
    expect(judgeFit({ runtime: 'onnx' }, device()).kind).toBe('unknown')
  })
})
