import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { probeDevices } from './contract/devices.js'
import { RivuletError } from './contract/errors.js'
import {
  webLlmCaches,
  type WebLlmCache,
  type WebLlmLoadOptions,
  type WebLlmModelRecord,
} from './contract/web-llm-options.js'

export type { WebLlmCache, WebLlmModelRecord } from './contract/web-llm-options.js'

/** Options of `webLlm()`. */
export interface WebLlmOptions {
  /** The model's id, in `modelRecords` or on web-llm's own list: `Llama-3.2-1B-Instruct-q4f16_1-MLC`. */
  readonly model: string
  /** Models of your own, looked at before web-llm's list. URLs may be relative to the page. @default none */
  readonly modelRecords?: readonly WebLlmModelRecord[] | undefined
  /** Where web-llm keeps what it downloads; `store` of this library does not see it. @default 'cache' */
  readonly cache?: WebLlmCache | undefined
  /** Prompt and answer together, in tokens. @default the model's own */
  readonly contextLength?: number | undefined
  /**
   * Makes the worker, for bundlers that do not find it by themselves. Its script must import `rivulet/web-llm.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => Worker) | undefined
}

const optionNames: readonly string[] = [
  'model',
  'modelRecords',
  'cache',
  'contextLength',
  'worker',
] satisfies (keyof WebLlmOptions)[]

/**
 * Runs MLC models on web-llm (an optional peer dependency: install `@mlc-ai/web-llm`), on WebGPU alone. `createEngine`
 * needs no `model` then, and its `download` does not concern it: web-llm has its own list, store and checks.
 *
 * What its runtime cannot keep: a control token in a message is one; a prompt that is being computed cannot be left
 * before its end; a generation that lost its GPU ends with `device-lost`, and only the next one gets the new worker.
 * `topK`, `minP` and `topLogprobs` are refused, but for the values that turn them off.
 * @throws RivuletError `invalid-option`
 */
export function webLlm(options: WebLlmOptions): BackendFactory {
  const { worker = createWorker, ...told } = options
  const unknown = Object.keys(options).find((name) => !optionNames.includes(name))
  if (unknown !== undefined) {
    refuse(`webLlm() has no option "${unknown}"; it has: ${optionNames.join(', ')}.`)
  }
  if (typeof worker !== 'function') refuse('webLlm({ worker }) must be a function that returns a Worker.')
  return {
    name: 'web-llm',
    options: checkOptions(told),
    model: 'named',
    checkAvailability,
    createWorker: worker,
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/web-llm.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-web-llm',
  })
}

function checkOptions({
  model,
  modelRecords = [],
  cache = 'cache',
  contextLength,
}: Omit<WebLlmOptions, 'worker'>): WebLlmLoadOptions {
  if (typeof model !== 'string' || model === '') refuse("webLlm({ model }) must be a model's id.")
  if (!webLlmCaches.includes(cache)) refuse(`webLlm({ cache }) must be one of ${webLlmCaches.join(', ')}.`)
  if (contextLength !== undefined && !(Number.isSafeInteger(contextLength) && contextLength > 0)) {
    refuse('webLlm({ contextLength }) must be an integer from 1.')
  }
  if (!Array.isArray(modelRecords)) refuse('webLlm({ modelRecords }) must be a list.')
  return { model, modelRecords: modelRecords.map(checkRecord), cache, contextLength }
}

function checkRecord(record: WebLlmModelRecord): WebLlmModelRecord {
  const { model_id: id, model, model_lib: library } = record
  if (![id, model, library].every((value) => typeof value === 'string' && value !== '')) {
    refuse('Each of webLlm({ modelRecords }) must have "model_id", "model" and "model_lib".')
  }
  const base = globalThis.document?.baseURI
  if (!URL.canParse(model, base) || !URL.canParse(library, base)) {
    refuse(`webLlm({ modelRecords }): "model" and "model_lib" of ${id} must be URLs.`)
  }
  return { ...record, model: new URL(model, base).href, model_lib: new URL(library, base).href }
}

function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}

/** Its shaders on a software adapter are as good as none. */
async function checkAvailability(): Promise<BackendAvailability> {
  const { webgpu } = await probeDevices()
  if ('unavailable' in webgpu) return { isAvailable: false, reason: webgpu.unavailable }
  if (!webgpu.adapter.isFallbackAdapter) return { isAvailable: true }
  return { isAvailable: false, reason: 'There is no graphics adapter but one that computes on the CPU.' }
}
