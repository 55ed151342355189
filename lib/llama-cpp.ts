import { chooseModel, type BackendAvailability, type BackendFactory } from './backend-factory.js'
import { checkChatTemplate, checkEndTokens, refuse, refuseUnknown } from './contract/check-options.js'
import { chooseLlamaCppDevice } from './contract/choose-device.js'
import { probeDevices } from './contract/devices.js'
import { llamaCppDevices, type LlamaCppLoadOptions } from './contract/llama-cpp-options.js'
import type { ModelSource } from './locate-model.js'
import { resolveUrl } from './resolve-url.js'

export { llamaCppDevices } from './contract/llama-cpp-options.js'
export type { LlamaCppDevice } from './contract/llama-cpp-options.js'

/** Options of `llamaCpp()`. */
export interface LlamaCppOptions extends Omit<LlamaCppLoadOptions, 'wasmUrl'> {
  /**
   * URL of `@wllama/wllama/esm/wasm/wllama.wasm`, relative to the page, for bundlers that do not find this file.
   * @default the file next to wllama's own module
   */
  readonly wasmUrl?: string | URL | undefined
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
  'endTokens',
  'chatTemplate',
  'threads',
  'memoryBudgetBytes',
  'conversationCacheBytes',
  'wasmUrl',
  'model',
  'worker',
] satisfies (keyof LlamaCppOptions)[]

/**
 * Runs GGUF files on llama.cpp, through wllama (an optional peer dependency: install `@wllama/wllama`). It is the fastest
 * backend without a GPU. The model is the URL of a file, `owner/name/file.gguf` on the Hugging Face Hub, or a local file
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
  const { worker = createWorker, model, wasmUrl, ...plainOptions } = options
  refuseUnknown('llamaCpp()', options, optionNames)
  if (typeof worker !== 'function') refuse('llamaCpp({ worker }) must be a function that returns a Worker.')
  checkOptions(plainOptions)
  return {
    name: 'llama-cpp',
    options: {
      ...plainOptions,
      ...(wasmUrl !== undefined && { wasmUrl: resolveUrl('llamaCpp({ wasmUrl })', wasmUrl) }),
    },
    model: chooseModel(model),
    takesFile: true,
    checkAvailability: () => checkAvailability(plainOptions),
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
}: LlamaCppLoadOptions): void {
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

async function checkAvailability(options: LlamaCppLoadOptions): Promise<BackendAvailability> {
  const chosen = chooseLlamaCppDevice(await probeDevices(), options)
  return chosen.kind === 'unavailable' ? { isAvailable: false, reason: chosen.reason } : { isAvailable: true }
}
