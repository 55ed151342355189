import { chooseModel, type BackendAvailability, type BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { probeDevices } from './contract/devices.js'
import { llamaCppDevices, type LlamaCppLoadOptions } from './contract/llama-cpp-options.js'
import type { ModelSource } from './contract/model-source.js'
import { resolveUrl } from './resolve-url.js'

export { llamaCppDevices } from './contract/llama-cpp-options.js'
export type { LlamaCppDevice } from './contract/llama-cpp-options.js'

/** Options of `llamaCpp()`. */
export interface LlamaCppOptions extends Omit<LlamaCppLoadOptions, 'wasmUrl'> {
  readonly wasmUrl?: string | URL | undefined
  /** Its GGUF file, where a list of backends has another model for each. @default `createEngine`'s */
  readonly model?: ModelSource | undefined
  /**
   * Makes the worker, for bundlers that do not find it by themselves. Its script must import `rivulet/llama-cpp.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => Worker) | undefined
}

const optionNames: readonly string[] = [
  'device',
  'contextLength',
  'threads',
  'memoryBudgetBytes',
  'conversationCacheBytes',
  'wasmUrl',
  'model',
  'worker',
] satisfies (keyof LlamaCppOptions)[]

/**
 * Runs GGUF files on llama.cpp, through wllama (an optional peer dependency: install `@wllama/wllama`). The fastest way
 * where there is no GPU. The model is a file's URL, `owner/name/file.gguf` on the hub, or the visitor's own file; of
 * `owner/name` alone the file with 4 to 5 bits is taken. Files in parts (`…-00001-of-00003.gguf`) are loaded whole.
 *
 * What is left out of a generation's options is llama.cpp's default: temperature 0.8, `topK` 40, `topP` 0.95, `minP`
 * 0.05. All penalties count the prompt's tokens as well. A control token in a message is kept from being one by a word
 * joiner (U+2060) behind its first character.
 *
 * wllama makes its worker from a blob: a content security policy has to allow `worker-src blob:`.
 * @throws RivuletError `invalid-option`
 */
export function llamaCpp(options: LlamaCppOptions = {}): BackendFactory {
  const { worker = createWorker, model, wasmUrl, ...numbers } = options
  refuseUnknown('llamaCpp()', options, optionNames)
  if (typeof worker !== 'function') refuse('llamaCpp({ worker }) must be a function that returns a Worker.')
  checkOptions(numbers)
  return {
    name: 'llama-cpp',
    options: {
      ...numbers,
      ...(wasmUrl !== undefined && { wasmUrl: resolveUrl('llamaCpp({ wasmUrl })', wasmUrl) }),
    },
    model: chooseModel(model),
    checkAvailability: () => checkAvailability(numbers),
    createWorker: worker,
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/llama-cpp.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-llama-cpp',
  })
}

function checkOptions({
  device,
  contextLength = 1,
  threads = 1,
  memoryBudgetBytes = 0,
  conversationCacheBytes = 0,
}: LlamaCppLoadOptions): void {
  if (device !== undefined && !llamaCppDevices.includes(device)) {
    refuse(`llamaCpp({ device }) must be one of ${llamaCppDevices.join(', ')}; got ${String(device)}.`)
  }
  for (const [name, count] of Object.entries({ contextLength, threads })) {
    if (!Number.isSafeInteger(count) || count < 1) {
      refuse(`llamaCpp({ ${name} }) must be an integer from 1; got ${String(count)}.`)
    }
  }
  for (const [name, bytes] of Object.entries({ memoryBudgetBytes, conversationCacheBytes })) {
    if (typeof bytes !== 'number' || !(bytes >= 0)) {
      refuse(`llamaCpp({ ${name} }) must be a number from 0; got ${String(bytes)}.`)
    }
  }
}

async function checkAvailability({ device }: LlamaCppLoadOptions): Promise<BackendAvailability> {
  const { webgpu, wasm } = await probeDevices()
  // llama.cpp is WebAssembly on either device.
  if ('unavailable' in wasm) return { isAvailable: false, reason: wasm.unavailable }
  if (device === 'webgpu' && 'unavailable' in webgpu)
    return { isAvailable: false, reason: webgpu.unavailable }
  return { isAvailable: true }
}
