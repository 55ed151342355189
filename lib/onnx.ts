import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { probeDevices } from './contract/devices.js'
import { RivuletError } from './contract/errors.js'
import type { ModelSource } from './contract/model-source.js'
import { onnxDevices, onnxDtypes, type OnnxLoadOptions } from './contract/onnx-options.js'

export { onnxDevices, onnxDtypes } from './contract/onnx-options.js'
export type { OnnxDevice, OnnxDtype } from './contract/onnx-options.js'

/** Options of `onnx()`. */
export interface OnnxOptions extends OnnxLoadOptions {
  /**
   * Makes the worker, for bundlers that do not find it by themselves, and for workers with code of one's own in them.
   * Its script must import `rivulet/onnx.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => Worker) | undefined
  /** Its model's folder, where a list of backends has another for each. @default `createEngine`'s */
  readonly model?: ModelSource | undefined
}

/**
 * Runs Hugging Face ONNX folders on onnxruntime-web (an optional peer dependency: install it).
 * @throws RivuletError `invalid-option` for an unknown option, device or dtype
 */
export function onnx({ worker = createWorker, model, ...options }: OnnxOptions = {}): BackendFactory {
  checkOptions(options)
  if (typeof worker !== 'function') refuse('onnx({ worker }) must be a function that returns a Worker.')
  return {
    name: 'onnx',
    options,
    model,
    checkAvailability: () => checkAvailability(options),
    createWorker: worker,
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/onnx.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-onnx',
  })
}

const allowedValues: Readonly<Record<string, readonly string[]>> = { device: onnxDevices, dtype: onnxDtypes }

function checkOptions({
  conversationCacheBytes = 0,
  memoryBudgetBytes = 0,
  ...named
}: OnnxLoadOptions): void {
  for (const [name, value] of Object.entries(named)) {
    const allowed = allowedValues[name]
    if (!allowed) {
      const names = [
        ...Object.keys(allowedValues),
        'conversationCacheBytes',
        'memoryBudgetBytes',
        'model',
        'worker',
      ]
      refuse(`onnx() has no option "${name}"; it has: ${names.join(', ')}.`)
    }
    if (value !== undefined && !allowed.includes(value)) {
      refuse(`onnx({ ${name} }) must be one of ${allowed.join(', ')}; got ${String(value)}.`)
    }
  }
  for (const [name, bytes] of Object.entries({ conversationCacheBytes, memoryBudgetBytes })) {
    if (typeof bytes !== 'number' || !(bytes >= 0)) {
      refuse(`onnx({ ${name} }) must be a number from 0; got ${String(bytes)}.`)
    }
  }
}

function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}

async function checkAvailability({ device = 'auto' }: OnnxLoadOptions): Promise<BackendAvailability> {
  const { webgpu, wasm } = await probeDevices()
  // ONNX Runtime is WebAssembly on either device.
  if ('unavailable' in wasm) return { isAvailable: false, reason: wasm.unavailable }
  if (device === 'webgpu' && 'unavailable' in webgpu)
    return { isAvailable: false, reason: webgpu.unavailable }
  const hasGpu = 'adapter' in webgpu && !webgpu.adapter.isFallbackAdapter
  return { isAvailable: true, isSlow: device === 'auto' && !hasGpu }
}
