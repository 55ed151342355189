import { describe, expect, it } from 'vitest'
import { checkFit, type DeviceFacts } from './device-fit.js'

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
      wasm: { hasThreads: true, hasMemory64: true, hasJspi: true },
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
  it('fits if memory and storage are large enough', () => {
    expect(checkFit(small, device()).kind).toBe('fits')
  })

  it('cannot run if its backend cannot, for the backend’s reason', () => {
    const { availability, ...facts } = device()
    const backends = [{ name: 'web-llm', isAvailable: false, isSlow: false, reason: 'No WebGPU.' }]
    const fit = checkFit(
      { ...small, runtime: 'web-llm' },
      { ...facts, availability: { ...availability, backends } },
    )
    expect(fit).toEqual({ kind: 'impossible', reason: 'No WebGPU.' })
  })

  it('of the browser runs if the browser has one, and otherwise has the browser’s reason', () => {
    const { availability, ...facts } = device()
    const reason = 'This browser has no Prompt API (LanguageModel).'
    const missing = { name: 'prompt-api', isAvailable: false, isSlow: false, reason } as const
    const find = (hasModel: boolean) => {
      const backends = [hasModel ? isAvailable('prompt-api') : missing]
      return checkFit({ runtime: 'prompt-api' }, { ...facts, availability: { ...availability, backends } })
    }
    expect(find(true)).toEqual({ kind: 'fits', reason: 'Runs in this browser.' })
    expect(find(false)).toEqual({ kind: 'impossible', reason })
  })

  it('with 16-bit floats cannot run on an adapter without them', () => {
    const facts = device({}, { adapter: { ...gpu, hasShaderF16: false } })
    expect(checkFit({ ...small, runtime: 'web-llm', needsFloat16: true }, facts).kind).toBe('impossible')
  })

  it('needs storage for the part that is not downloaded yet', () => {
    const facts = device({ freeStorageBytes: 60e6 })
    expect(checkFit(small, facts)).toEqual({
      kind: 'impossible',
      reason: 'Needs 100 MB of storage. The browser has 60.0 MB left for this site.',
    })
    expect(checkFit(small, facts, 50e6).kind).toBe('fits')
  })

  it('cannot exceed WebAssembly’s memory unless it runs on a GPU', () => {
    const large = { ...small, memoryBytes: 5e9 }
    expect(checkFit(large, device()).kind).toBe('impossible')
    expect(checkFit({ ...large, runtime: 'onnx' }, device()).kind).toBe('fits')
    expect(checkFit({ ...large, runtime: 'onnx' }, device({}, noGpu)).kind).toBe('impossible')
  })

  it('is tight if it needs more than half of the device’s memory', () => {
    const facts = device({ deviceMemoryBytes: 2 * 2 ** 30 })
    expect(checkFit({ ...small, memoryBytes: 1.2e9 }, facts).kind).toBe('tight')
    expect(checkFit(small, facts).kind).toBe('fits')
  })

  it('is slow on the CPU if it is large', () => {
    expect(checkFit({ ...small, memoryBytes: 1e9 }, device({}, noGpu)).kind).toBe('slow')
    expect(checkFit(small, device({}, noGpu)).kind).toBe('fits')
    const software = device({}, { adapter: { ...gpu, isFallbackAdapter: true } })
    expect(checkFit({ ...small, memoryBytes: 1e9 }, software).kind).toBe('slow')
  })

  it('of unknown size is reported as unknown', () => {
    expect(checkFit({ runtime: 'onnx' }, device()).kind).toBe('unknown')
  })
})
