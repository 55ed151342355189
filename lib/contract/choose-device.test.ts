import { describe, expect, it } from 'vitest'
import { checkWebLlmDevice, chooseLlamaCppDevice, chooseOnnxDevice } from './choose-device.js'
import type { Devices, GpuAdapterFacts } from './devices.js'

const real: GpuAdapterFacts = {
  vendor: 'amd',
  architecture: 'rdna-3',
  description: '',
  isFallbackAdapter: false,
  hasShaderF16: true,
  maxBufferBytes: 2 ** 31,
}

function createDevices(webgpu: Partial<GpuAdapterFacts> | string): Devices {
  return {
    webgpu: typeof webgpu === 'string' ? { unavailable: webgpu } : { adapter: { ...real, ...webgpu } },
    wasm: { hasThreads: true, hasMemory64: true, hasJspi: true },
  }
}

const realGpu = createDevices({})
const withoutFloat16 = createDevices({ hasShaderF16: false })
const fallback = createDevices({ isFallbackAdapter: true })
const swiftShader = createDevices({ isFallbackAdapter: true, hasShaderF16: false })
const withoutGpu = createDevices('This browser has no WebGPU.')
const without = (...features: readonly ('hasMemory64' | 'hasJspi')[]): Devices => ({
  ...realGpu,
  wasm: {
    hasThreads: true,
    hasMemory64: !features.includes('hasMemory64'),
    hasJspi: !features.includes('hasJspi'),
  },
})
const withoutWasm: Devices = { ...realGpu, wasm: { unavailable: 'WebAssembly is off.' } }

const unavailable = (reason: string) => ({
  kind: 'unavailable',
  reason: expect.stringContaining(reason),
})
const autoAdvice = "Use device: 'auto'"

describe('the device of llamaCpp()', () => {
  it.each([
    ['a real GPU', realGpu, 'webgpu'],
    ['a GPU without 16-bit floats', withoutFloat16, 'wasm'],
    ['a fallback adapter', fallback, 'wasm'],
    ['no GPU', withoutGpu, 'wasm'],
    ['a GPU without JSPI', without('hasJspi'), 'wasm'],
  ] as const)('with auto on %s', (_, devices, kind) => {
    expect(chooseLlamaCppDevice(devices, {})).toMatchObject({ kind })
  })

  it('is WASM on a real GPU if WASM is requested', () => {
    expect(chooseLlamaCppDevice(realGpu, { device: 'wasm' })).toEqual({ kind: 'wasm', build: 'default' })
  })

  it('is a fallback adapter with 16-bit floats if WebGPU is requested', () => {
    expect(chooseLlamaCppDevice(fallback, { device: 'webgpu' })).toMatchObject({ kind: 'webgpu' })
  })

  it.each(['auto', 'webgpu', 'wasm'] as const)(
    'is refused without 64-bit memories, instead of loading another build: %s',
    (device) => {
      expect(chooseLlamaCppDevice(without('hasMemory64', 'hasJspi'), { device })).toEqual(
        unavailable('no WebAssembly memories with 64-bit addresses'),
      )
    },
  )

  const compat = { script: 'https://app.example/wllama.js', wasm: 'https://app.example/wllama.wasm' }

  it.each([
    ['auto', 'webgpu'],
    ['webgpu', 'webgpu'],
    ['wasm', 'wasm'],
  ] as const)('without 64-bit memories and JSPI, %s runs the compatibility build on %s', (device, kind) => {
    const devices = without('hasMemory64', 'hasJspi')
    expect(chooseLlamaCppDevice(devices, { device, compat })).toMatchObject({ kind, build: 'compat' })
  })

  it('does not use the compatibility build if the default build runs', () => {
    expect(chooseLlamaCppDevice(realGpu, { compat })).toMatchObject({ kind: 'webgpu', build: 'default' })
    // Firefox: the compatibility build on WebGPU is slower there than the default build on the CPU.
    const withoutJspi = chooseLlamaCppDevice(without('hasJspi'), { compat })
    expect(withoutJspi).toEqual({ kind: 'wasm', build: 'default' })
  })

  it('is refused with the compatibility build too if there is no WebAssembly', () => {
    expect(chooseLlamaCppDevice(withoutWasm, { compat })).toEqual(unavailable('WebAssembly is off.'))
  })

  it.each([
    ['a GPU without 16-bit floats', withoutFloat16, '16-bit floats'],
    ['a fallback adapter without 16-bit floats', swiftShader, '16-bit floats'],
    ['no GPU', withoutGpu, 'no WebGPU'],
    ['a GPU without JSPI', without('hasJspi'), 'no JSPI'],
  ] as const)('is refused if WebGPU is requested on %s', (_, devices, reason) => {
    const chosen = chooseLlamaCppDevice(devices, { device: 'webgpu' })
    expect(chosen).toEqual(unavailable(reason))
    expect(chosen).toEqual(unavailable(autoAdvice))
  })
})

describe('the device of onnx()', () => {
  const rare = ['int8', 'uint8', 'bnb4', 'q2f16', 'q2', 'q1f16', 'q1']
  const rareWithoutFloat16 = ['int8', 'uint8', 'bnb4', 'q2', 'q1']
  const allDtypes = ['q4f16', 'q4', 'fp16', 'q8', 'fp32', ...rare]
  const dtypesWithoutFloat16 = ['q4', 'q8', 'fp32', ...rareWithoutFloat16]
  const dtypesOnWasm = ['q4', 'q8', 'fp32', 'q4f16', 'fp16', ...rareWithoutFloat16, 'q2f16', 'q1f16']

  it.each([
    ['a real GPU', realGpu, 'webgpu', allDtypes],
    ['a GPU without 16-bit floats', withoutFloat16, 'webgpu', dtypesWithoutFloat16],
    ['a fallback adapter', fallback, 'wasm', dtypesOnWasm],
    ['no GPU', withoutGpu, 'wasm', dtypesOnWasm],
  ] as const)('with auto on %s', (_, devices, kind, dtypes) => {
    expect(chooseOnnxDevice(devices, {})).toMatchObject({ kind, dtypes })
  })

  it('is a fallback adapter if WebGPU is requested', () => {
    expect(chooseOnnxDevice(swiftShader, { device: 'webgpu' })).toMatchObject({ kind: 'webgpu' })
  })

  it('is refused if WebGPU is requested without a GPU', () => {
    expect(chooseOnnxDevice(withoutGpu, { device: 'webgpu' })).toEqual(unavailable(autoAdvice))
  })

  it('is refused if the dtype needs 16-bit floats on a GPU without them', () => {
    const chosen = chooseOnnxDevice(withoutFloat16, { device: 'webgpu', dtype: 'q4f16' })
    expect(chosen).toEqual(
      unavailable("Use one of q4, q8, fp32, int8, uint8, bnb4, q2, q1, or device: 'wasm'."),
    )
  })

  it.each([
    ['if it is requested', realGpu, { device: 'wasm', dtype: 'fp16' }],
    ['instead of a fallback adapter', fallback, { dtype: 'fp16' }],
  ] as const)('is WASM for a dtype with 16-bit floats %s', (_, devices, options) => {
    expect(chooseOnnxDevice(devices, options)).toMatchObject({ kind: 'wasm', dtypes: ['fp16'] })
  })

  it('offers only the requested dtype', () => {
    expect(chooseOnnxDevice(realGpu, { dtype: 'fp16' })).toMatchObject({ kind: 'webgpu', dtypes: ['fp16'] })
    expect(chooseOnnxDevice(withoutGpu, { dtype: 'q8' })).toMatchObject({ kind: 'wasm', dtypes: ['q8'] })
  })
})

it('without WebAssembly, neither onnx() nor llamaCpp() can run', () => {
  expect(chooseOnnxDevice(withoutWasm, {})).toEqual(unavailable('WebAssembly is off.'))
  expect(chooseLlamaCppDevice(withoutWasm, { device: 'webgpu' })).toEqual(unavailable('WebAssembly is off.'))
})

describe('webLlm()', () => {
  const place = { model: 'https://models.example/', model_lib: 'https://models.example/a.wasm' }
  const records = [
    { ...place, model_id: 'half', required_features: ['shader-f16'] },
    { ...place, model_id: 'Single-q4f16_1-MLC' },
  ]
  const check = (devices: Devices, model: string) =>
    checkWebLlmDevice(devices, { model, modelRecords: records, cache: undefined, contextLength: undefined })

  it('runs any model on a real GPU with 16-bit floats', () => {
    expect(check(realGpu, 'half')).toBeUndefined()
    expect(check(realGpu, 'Qwen3-0.6B-q4f16_1-MLC')).toBeUndefined()
  })

  it.each(['half', 'Qwen3-0.6B-q4f16_1-MLC', 'Qwen3-0.6B-q0f16-MLC', 'Llama-3.1-8B-Instruct-q4f16_1-MLC-1k'])(
    'is refused without 16-bit floats for the model %s',
    (model) => expect(check(withoutFloat16, model)).toEqual(unavailable(`"${model}" needs 16-bit floats`)),
  )

  it.each(['Qwen3-0.6B-q4f32_1-MLC', 'Qwen3-0.6B-q0f32-MLC'])(
    'runs the 32-bit model %s without 16-bit floats',
    (model) => expect(check(withoutFloat16, model)).toBeUndefined(),
  )

  it('follows the features of a model record, not its id', () => {
    expect(check(withoutFloat16, 'Single-q4f16_1-MLC')).toBeUndefined()
  })

  it('is refused without a GPU and on a fallback adapter', () => {
    expect(check(withoutGpu, 'any')).toEqual(unavailable('no WebGPU'))
    expect(check(fallback, 'any')).toEqual(unavailable('software'))
  })
})
