import { chooseModel, type BackendAvailability, type BackendFactory } from './backend-factory.js'
import {
  checkChatTemplate,
  checkConcurrency,
  checkEndTokens,
  refuse,
  refuseUnknown,
} from './contract/check-options.js'
import { chooseLlamaCppDevice } from './contract/choose-device.js'
import { probeDevices } from './contract/devices.js'
import {
  llamaCppDevices,
  type LlamaCppCompatFiles,
  type LlamaCppLoadOptions,
} from './contract/llama-cpp-options.js'
import type { ModelSource } from './locate-model.js'
import { resolveUrl } from './resolve-url.js'

export { llamaCppDevices } from './contract/llama-cpp-options.js'
export type { LlamaCppDevice } from './contract/llama-cpp-options.js'

/**
 * URLs of the files of `@wllama/wllama-compat`, relative to the page. The package must have the version of the installed
 * `@wllama/wllama`. `rivulet/llama-cpp-compat` has the URLs, for bundlers that find the files.
 */
export interface LlamaCppCompat {
  /** `@wllama/wllama-compat/wasm/wllama.js` */
  readonly script: string | URL
  /** `@wllama/wllama-compat/wasm/wllama.wasm` */
  readonly wasm: string | URL
}

/** Options of `llamaCpp()`. */
export interface LlamaCppOptions extends Omit<LlamaCppLoadOptions, 'wasmUrl' | 'compat'> {
  /**
   * URL of `@wllama/wllama/esm/wasm/wllama.wasm`, relative to the page, for bundlers that do not find this file.
   * @default the file next to wllama's own module
   */
  readonly wasmUrl?: string | URL | undefined
  /**
   * llama.cpp's compatibility build, for browsers whose WebAssembly has no memories with 64-bit addresses (memory64), such
   * as Safari. It is only downloaded there, and is slower than the other build: `availability()` reports it
   * as slow, and so does `engine.info.warnings`.
   *
   *     import { llamaCppCompat } from 'rivulet/llama-cpp-compat'
   *     llamaCpp({ compat: llamaCppCompat })
   *
   * @default none: `llamaCpp()` is unavailable in such browsers
   */
  readonly compat?: LlamaCppCompat | undefined
  /** The GGUF file, for a list whose backends need different models. @default the `model` of `createEngine` */
  readonly model?: ModelSource | undefined
  /**
   * Creates the worker, for bundlers that do not find its file. The worker's script must import `rivulet/llama-cpp.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => Worker) | undefined
}

const optionNames: readonly string[] = [
  'device',
  'contextLength',
  'maxConcurrentGenerations',
  'endTokens',
  'chatTemplate',
  'threads',
  'memoryBudgetBytes',
  'conversationCacheBytes',
  'wasmUrl',
  'compat',
  'model',
  'worker',
] satisfies (keyof LlamaCppOptions)[]

/**
 * Runs GGUF files on llama.cpp, through wllama (an optional peer dependency: install `@wllama/wllama`). It is the fastest
 * backend without a GPU. Browsers without 64-bit WebAssembly memories, such as Safari, need the option `compat`. The model is the URL of a file, `owner/name/file.gguf` on the Hugging Face Hub, or a local file
 * of the user. For `owner/name`, a file with 4 to 5 bits per weight is preferred. If a model is split into parts
 * (`…-00001-of-00003.gguf`), all parts are loaded.
 *
 * If a generation leaves out an option, llama.cpp's default applies: temperature 0.8, `topK` 40, `topP` 0.95, `minP` 0.05.
 * All penalties also count the tokens of the prompt. If a message contains the text of a control token, a word joiner
 * (U+2060) is inserted after the first character of that text, so that the text does not become a control token.
 *
 * wllama creates its worker from a blob: a content security policy must allow `worker-src blob:`.
 * @throws RivuletError `invalid-option`
 */
export function llamaCpp(options: LlamaCppOptions = {}): BackendFactory {
  const { worker = createWorker, model, wasmUrl, compat, ...plainOptions } = options
  refuseUnknown('llamaCpp()', options, optionNames)
  if (typeof worker !== 'function') refuse('llamaCpp({ worker }) must be a function that returns a Worker.')
  checkOptions(plainOptions)
  const loadOptions: LlamaCppLoadOptions = {
    ...plainOptions,
    ...(wasmUrl !== undefined && { wasmUrl: resolveUrl('llamaCpp({ wasmUrl })', wasmUrl) }),
    ...(compat !== undefined && { compat: resolveCompat(compat) }),
  }
  return {
    name: 'llama-cpp',
    options: loadOptions,
    model: chooseModel(model),
    takesFile: true,
    checkAvailability: () => checkAvailability(loadOptions),
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
  chatTemplate,
  contextLength = 1,
  threads = 1,
  memoryBudgetBytes = 0,
  conversationCacheBytes = 0,
  endTokens,
  maxConcurrentGenerations,
}: LlamaCppLoadOptions): void {
  checkConcurrency('llamaCpp', maxConcurrentGenerations)
  checkEndTokens('llamaCpp', endTokens)
  checkChatTemplate('llamaCpp', chatTemplate)
  if (device !== undefined && !llamaCppDevices.includes(device)) {
    refuse(`llamaCpp({ device }) must be one of ${llamaCppDevices.join(', ')}; got ${String(device)}.`)
  }
  for (const [name, count] of Object.entries({ contextLength, threads })) {
    if (!Number.isSafeInteger(count) || count < 1) {
      refuse(`llamaCpp({ ${name} }) must be an integer, 1 or more; got ${String(count)}.`)
    }
  }
  for (const [name, bytes] of Object.entries({ memoryBudgetBytes, conversationCacheBytes })) {
    if (typeof bytes !== 'number' || !(bytes >= 0)) {
      refuse(`llamaCpp({ ${name} }) must be a number of bytes, 0 or more; got ${String(bytes)}.`)
    }
  }
}

function resolveCompat(compat: LlamaCppCompat): LlamaCppCompatFiles {
  if (typeof compat !== 'object' || compat === null)
    refuse('llamaCpp({ compat }) must be an object with the fields script and wasm.')
  refuseUnknown('llamaCpp({ compat })', compat, ['script', 'wasm'], 'field')
  return {
    script: resolveUrl('llamaCpp({ compat: { script } })', compat.script),
    wasm: resolveUrl('llamaCpp({ compat: { wasm } })', compat.wasm),
  }
}

async function checkAvailability(options: LlamaCppLoadOptions): Promise<BackendAvailability> {
  const chosen = chooseLlamaCppDevice(await probeDevices(), options)
  if (chosen.kind === 'unavailable') return { isAvailable: false, reason: chosen.reason }
  return { isAvailable: true, isSlow: chosen.build === 'compat' }
}
