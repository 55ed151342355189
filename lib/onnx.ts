import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { probeDevices } from './contract/devices.js'
import { RivuletError } from './contract/errors.js'
import { onnxDevices, onnxDtypes, type OnnxOptions } from './contract/onnx-options.js'

export { onnxDevices, onnxDtypes } from './contract/onnx-options.js'
export type { OnnxDevice, OnnxDtype, OnnxOptions } from './contract/onnx-options.js'

/**
 * Runs Hugging Face ONNX folders on onnxruntime-web (an optional peer dependency: install it).
 * @throws RivuletError `invalid-option` for an unknown option, device or dtype
 */
export function onnx(options: OnnxOptions = {}): BackendFactory {
  checkOptions(options)
  return {
    name: 'onnx',
    options,
    checkAvailability: () => checkAvailability(options),
    createWorker: () =>
      new Worker(new URL('../workers/onnx.worker.js', import.meta.url), {
        type: 'module',
        name: 'rivulet-onnx',
      }),
  }
}

const allowedValues = { device: onnxDevices, dtype: onnxDtypes } satisfies Record<
  keyof OnnxOptions,
  readonly string[]
>

function checkOptions(options: OnnxOptions): void {
  for (const [name, value] of Object.entries(options)) {
    const allowed: readonly string[] | undefined = allowedValues[name as keyof OnnxOptions]
    const problem = !allowed
      ? `onnx() has no option "${name}"; it has: ${Object.keys(allowedValues).join(', ')}.`
      : value !== undefined && !allowed.includes(value as string)
        ? `onnx({ ${name} }) must be one of ${allowed.join(', ')}; got ${String(value)}.`
        : undefined
    if (problem) throw new RivuletError('invalid-option', problem)
  }
}

async function checkAvailability({ device = 'auto' }: OnnxOptions): Promise<BackendAvailability> {
  const { webgpu, wasm } = await probeDevices()
  // ONNX Runtime is WebAssembly on either device.
  if ('unavailable' in wasm) return { isAvailable: false, reason: wasm.unavailable }
  if (device === 'webgpu' && 'unavailable' in webgpu)
    return { isAvailable: false, reason: webgpu.unavailable }
  return { isAvailable: true }
}
