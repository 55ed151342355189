import { chooseModel, type BackendAvailability, type BackendFactory } from './backend-factory.js'
import {
  checkChatTemplate,
  checkConcurrency,
  checkEndTokens,
  refuse,
  refuseUnknown,
} from './contract/check-options.js'
import { chooseOnnxDevice } from './contract/choose-device.js'
import { probeDevices } from './contract/devices.js'
import type { ModelSource } from './locate-model.js'
import type { GrammarEngine } from './xgrammar.js'
import {
  onnxDevices,
  onnxDtypes,
  onnxWasmFiles,
  type OnnxBuild,
  type OnnxLoadOptions,
} from './contract/onnx-options.js'
import { resolveUrl } from './resolve-url.js'

export { onnxDevices, onnxDtypes } from './contract/onnx-options.js'
export type { OnnxBuild, OnnxDevice, OnnxDtype } from './contract/onnx-options.js'

/**
 * URLs of ONNX Runtime's WebAssembly files, relative to the page: a folder that contains the files of onnxruntime-web's `dist`
 * under their original names, or one file for each build. Use the files of the installed version.
 *
 * - `wasm` for the CPU: `ort-wasm-simd-threaded.wasm`
 * - `jspi` for WebGPU: `ort-wasm-simd-threaded.jspi.wasm`, in browsers with JavaScript Promise Integration
 * - `webgpu` for WebGPU: `ort-wasm-simd-threaded.asyncify.wasm`, in the others; in all browsers if it is set and `jspi` is not
 */
export type OnnxWasmPaths = string | URL | { readonly [Build in OnnxBuild]?: string | URL | undefined }

/** Options of `onnx()`. */
export interface OnnxOptions extends Omit<OnnxLoadOptions, 'wasmPaths'> {
  /**
   * URLs of ONNX Runtime's WebAssembly files, for bundlers that do not find them and for apps that host them elsewhere.
   * @default the files next to onnxruntime-web's own modules
   */
  readonly wasmPaths?: OnnxWasmPaths | undefined
  /**
   * Creates the worker, for bundlers that do not find its file and for workers that also run code of the app. The worker's
   * script must import `rivulet/onnx.worker`, or `rivulet/onnx-xgrammar.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => Worker) | undefined
  /**
   * The engine that holds answers in the form of `responseFormat`: `xgrammar()` from `rivulet/xgrammar`. It brings its own
   * worker. With the option `worker`, leave it out and import `rivulet/onnx-xgrammar.worker` in the worker's script.
   * @default none: `responseFormat` is refused
   */
  readonly grammar?: GrammarEngine | undefined
  /** The model's folder, for a list whose backends need different models. @default the `model` of `createEngine` */
  readonly model?: ModelSource | undefined
}

/**
 * Runs ONNX models from Hugging Face folders on onnxruntime-web (an optional peer dependency: install `onnxruntime-web`).
 * @throws RivuletError `invalid-option` for an unknown option or an invalid value
 */
export function onnx({
  grammar,
  worker = grammar?.createWorker ?? createWorker,
  model,
  wasmPaths,
  ...plainOptions
}: OnnxOptions = {}): BackendFactory {
  refuseUnknown('onnx()', plainOptions, optionNames)
  checkOptions(plainOptions)
  const options = {
    ...plainOptions,
    ...(wasmPaths !== undefined && { wasmPaths: resolveWasmPaths(wasmPaths) }),
  }
  if (grammar !== undefined) checkGrammar(grammar, worker)
  if (typeof worker !== 'function') refuse('onnx({ worker }) must be a function that returns a Worker.')
  return {
    name: 'onnx',
    options,
    model: chooseModel(model),
    checkAvailability: () => checkAvailability(options),
    createWorker: worker,
  }
}

function checkGrammar(grammar: GrammarEngine, worker: () => Worker): void {
  if (typeof grammar.createWorker !== 'function') {
    refuse('onnx({ grammar }) must be a grammar engine, such as xgrammar() from "rivulet/xgrammar".')
  }
  if (worker !== grammar.createWorker) {
    refuse(
      'onnx() takes "grammar" or "worker", not both: import "rivulet/onnx-xgrammar.worker" in your worker.',
    )
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/onnx.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-onnx',
  })
}

const optionNames: readonly string[] = [
  'device',
  'dtype',
  'modelFile',
  'chatTemplate',
  'conversationCacheBytes',
  'keptPrefixBytes',
  'memoryBudgetBytes',
  'contextLength',
  'maxConcurrentGenerations',
  'endTokens',
  'grammar',
  'model',
  'wasmPaths',
  'worker',
] satisfies (keyof OnnxOptions)[]

function checkOptions(options: Omit<OnnxLoadOptions, 'wasmPaths'>): void {
  const { device, dtype, modelFile, conversationCacheBytes = 0, memoryBudgetBytes = 0 } = options
  const { keptPrefixBytes = 0 } = options
  const { contextLength = 2 } = options
  checkChatTemplate('onnx', options.chatTemplate)
  checkChoice('device', device, onnxDevices)
  checkChoice('dtype', dtype, onnxDtypes)
  if (modelFile !== undefined) checkModelFile(modelFile)
  if (modelFile !== undefined && dtype !== undefined) {
    refuse('onnx() takes "modelFile" or "dtype", not both: "modelFile" already names one variant.')
  }
  checkEndTokens('onnx', options.endTokens)
  if (!Number.isSafeInteger(contextLength) || contextLength < 2) {
    refuse(`onnx({ contextLength }) must be an integer, 2 or more; got ${String(contextLength)}.`)
  }
  checkConcurrency('onnx', options.maxConcurrentGenerations)
  for (const [name, bytes] of Object.entries({
    conversationCacheBytes,
    keptPrefixBytes,
    memoryBudgetBytes,
  })) {
    if (typeof bytes !== 'number' || !(bytes >= 0)) {
      refuse(`onnx({ ${name} }) must be a number of bytes, 0 or more; got ${String(bytes)}.`)
    }
  }
}

function checkChoice(name: string, value: string | undefined, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value)) {
    refuse(`onnx({ ${name} }) must be one of ${allowed.join(', ')}; got ${String(value)}.`)
  }
}

/** Matches a path of names that do not start with a dot. Such a path stays in its folder. */
const modelFilePattern = /^(?:[^/\\:.?#][^/\\:?#]*\/)*[^/\\:.?#][^/\\:?#]*\.onnx$/i

function checkModelFile(path: unknown): void {
  if (typeof path === 'string' && modelFilePattern.test(path)) return
  refuse(
    `onnx({ modelFile }) must be the path of an .onnx file in the model's folder, such as "onnx/model_q4.onnx"; got ${String(path)}.`,
  )
}

function resolveWasmPaths(paths: OnnxWasmPaths): OnnxLoadOptions['wasmPaths'] {
  if (typeof paths === 'string' || paths instanceof URL) {
    const folder = resolveUrl('onnx({ wasmPaths })', paths).replace(/\/?$/, '/')
    return Object.fromEntries(builds.map((build) => [build, folder + onnxWasmFiles[build]]))
  }
  if (typeof paths !== 'object' || paths === null)
    refuse('onnx({ wasmPaths }) must be a URL, or an object with a URL for each build.')
  const resolved: { [Build in OnnxBuild]?: string } = {}
  for (const [name, url] of Object.entries(paths)) {
    const build = builds.find((each) => each === name)
    if (build === undefined)
      refuse(`onnx({ wasmPaths }) has no build "${name}". The builds are: ${builds.join(', ')}.`)
    if (url !== undefined) resolved[build] = resolveUrl(`onnx({ wasmPaths: { ${build} } })`, url)
  }
  return resolved
}

/** `Object.keys` has the type of all strings. */
const builds = Object.keys(onnxWasmFiles) as OnnxBuild[]

async function checkAvailability(options: OnnxLoadOptions): Promise<BackendAvailability> {
  const chosen = chooseOnnxDevice(await probeDevices(), options)
  if (chosen.kind === 'unavailable') return { isAvailable: false, reason: chosen.reason }
  return { isAvailable: true, isSlow: chosen.kind === 'wasm' && options.device !== 'wasm' }
}
