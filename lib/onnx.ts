import { chooseModel, type BackendAvailability, type BackendFactory } from './backend-factory.js'
import { refuse } from './contract/check-options.js'
import { probeDevices } from './contract/devices.js'
import type { ModelSource } from './contract/model-source.js'
import { onnxDevices, onnxDtypes, onnxWasmFiles, type OnnxLoadOptions } from './contract/onnx-options.js'
import { resolveUrl } from './resolve-url.js'

export { onnxDevices, onnxDtypes } from './contract/onnx-options.js'
export type { OnnxDevice, OnnxDtype } from './contract/onnx-options.js'

/**
 * Where ONNX Runtime's WebAssembly is, relative to the page: a folder with both files of onnxruntime-web's `dist` under
 * their own names, or the file for each device. It must be the installed version's.
 */
export type OnnxWasmPaths =
  | string
  | URL
  | { readonly wasm?: string | URL | undefined; readonly webgpu?: string | URL | undefined }

/** Options of `onnx()`. */
export interface OnnxOptions extends Omit<OnnxLoadOptions, 'wasmPaths'> {
  /**
   * For bundlers that do not find ONNX Runtime's WebAssembly by themselves, and for hosts that serve it from elsewhere.
   * @default beside onnxruntime-web's own modules
   */
  readonly wasmPaths?: OnnxWasmPaths | undefined
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
 * @throws RivuletError `invalid-option` for an unknown option, or a value that an option does not take
 */
export function onnx({
  worker = createWorker,
  model,
  wasmPaths,
  ...given
}: OnnxOptions = {}): BackendFactory {
  checkOptions(given)
  const options = { ...given, ...(wasmPaths !== undefined && { wasmPaths: resolveWasmPaths(wasmPaths) }) }
  if (typeof worker !== 'function') refuse('onnx({ worker }) must be a function that returns a Worker.')
  return {
    name: 'onnx',
    options,
    model: chooseModel(model),
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
}: Omit<OnnxLoadOptions, 'wasmPaths'>): void {
  for (const [name, value] of Object.entries(named)) {
    const allowed = allowedValues[name]
    if (!allowed) {
      const names = [
        ...Object.keys(allowedValues),
        'conversationCacheBytes',
        'memoryBudgetBytes',
        'model',
        'wasmPaths',
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

function resolveWasmPaths(paths: OnnxWasmPaths): OnnxLoadOptions['wasmPaths'] {
  if (typeof paths === 'string' || paths instanceof URL) {
    const folder = resolveUrl('onnx({ wasmPaths })', paths).replace(/\/?$/, '/')
    return { wasm: `${folder}${onnxWasmFiles.wasm}`, webgpu: `${folder}${onnxWasmFiles.webgpu}` }
  }
  if (typeof paths !== 'object' || paths === null)
    refuse('onnx({ wasmPaths }) must be a URL, or one for each device.')
  const resolved: { wasm?: string; webgpu?: string } = {}
  for (const [device, url] of Object.entries(paths)) {
    if (device !== 'wasm' && device !== 'webgpu') {
      refuse(`onnx({ wasmPaths }) has no device "${device}"; it has: wasm, webgpu.`)
    }
    if (url !== undefined) resolved[device] = resolveUrl(`onnx({ wasmPaths: { ${device} } })`, url)
  }
  return resolved
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
