import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { refuse } from './contract/check-options.js'
import { probeDevices } from './contract/devices.js'
import {
  webLlmCaches,
  type WebLlmCache,
  type WebLlmLoadOptions,
  type WebLlmModelRecord,
} from './contract/web-llm-options.js'

export type { WebLlmCache, WebLlmIntegrity, WebLlmModelRecord } from './contract/web-llm-options.js'

/** Options of `webLlm()`. */
export interface WebLlmOptions {
  /** The id of a model of `modelRecords` or of web-llm's own list: `Qwen2.5-0.5B-Instruct-q4f16_1-MLC`. */
  readonly model: string
  /**
   * Models of one's own, looked through before web-llm's list. `model` and `model_lib` may be relative to the page. Their
   * `integrity` is checked (`integrity-failed`); web-llm has none for weights.
   */
  readonly modelRecords?: readonly WebLlmModelRecord[] | undefined
  /** Where web-llm keeps what it fetches. @default web-llm's: 'cache' */
  readonly cache?: WebLlmCache | undefined
  /** Prompt and answer together, in tokens, instead of the model's own: fewer need less memory. @default the model's */
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

const recordFields: readonly string[] = [
  'model',
  'model_id',
  'model_lib',
  'overrides',
  'vram_required_MB',
  'low_resource_required',
  'buffer_size_required_bytes',
  'required_features',
  'model_type',
  'integrity',
  'model_manifest',
] satisfies (keyof WebLlmModelRecord)[]

/**
 * Runs MLC models on @mlc-ai/web-llm (an optional peer dependency: install it), on WebGPU. `createEngine` needs no `model`
 * then, and its `download` options do not concern it: web-llm has a store of its own.
 *
 * What its runtime cannot keep of the stream's promises:
 * - A control string in a message is read as a control token. Those of the model's own chat template are refused
 *   (`invalid-option`), so that nobody can forge a turn; others of its tokenizer, and all of them in a raw prompt
 *   (`applyChatTemplate: false`), are not noticed.
 * - A prompt is computed in one go: a cancel meanwhile waits for it, and for the first token.
 * - An answer that loses its GPU ends with `device-lost` and what was said. The next request runs on a new worker.
 * - There are no token ids. `topK`, `minP` and `topLogprobs` are refused; `repetitionPenalty` sees the answer alone.
 * @throws RivuletError `invalid-option`
 */
export function webLlm(options: WebLlmOptions): BackendFactory {
  const { worker = createWorker, ...told } = options
  checkNames('webLlm()', 'option', options, optionNames)
  if (typeof worker !== 'function') refuse('webLlm({ worker }) must be a function that returns a Worker.')
  return {
    name: 'web-llm',
    options: checkOptions(told),
    model: { kind: 'named' },
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

async function checkAvailability(): Promise<BackendAvailability> {
  const { webgpu } = await probeDevices()
  if ('unavailable' in webgpu) return { isAvailable: false, reason: webgpu.unavailable }
  if (webgpu.adapter.isFallbackAdapter) {
    return { isAvailable: false, reason: 'WebGPU here computes on the CPU, which is too slow for web-llm.' }
  }
  return { isAvailable: true }
}

function checkOptions({
  model,
  modelRecords = [],
  cache,
  contextLength,
}: Omit<WebLlmOptions, 'worker'>): WebLlmLoadOptions {
  if (typeof model !== 'string' || model === '') refuse('webLlm({ model }) must be the id of a model.')
  if (cache !== undefined && !webLlmCaches.includes(cache)) {
    refuse(`webLlm({ cache }) must be one of ${webLlmCaches.join(', ')}.`)
  }
  if (contextLength !== undefined && !(Number.isSafeInteger(contextLength) && contextLength > 0)) {
    refuse('webLlm({ contextLength }) must be a number of tokens: an integer above 0.')
  }
  if (!Array.isArray(modelRecords)) refuse('webLlm({ modelRecords }) must be a list of model records.')
  return { model, modelRecords: modelRecords.map(checkRecord), cache, contextLength }
}

/** A plain copy: what cannot be copied could not be posted to the worker. */
function checkRecord(record: WebLlmModelRecord, index: number): WebLlmModelRecord {
  const name = `webLlm({ modelRecords })[${index}]`
  if (typeof record !== 'object' || record === null) refuse(`${name} must be an object.`)
  checkNames(name, 'field', record, recordFields)
  for (const field of ['model', 'model_id', 'model_lib'] as const) {
    if (typeof record[field] !== 'string' || record[field] === '')
      refuse(`${name}.${field} must be a string.`)
  }
  checkIntegrity(name, record.integrity)
  const model = resolveUrl(`${name}.model`, record.model)
  const model_lib = resolveUrl(`${name}.model_lib`, record.model_lib)
  try {
    return structuredClone({ ...record, model, model_lib })
  } catch {
    return refuse(`${name} must be plain data.`)
  }
}

/** A subresource integrity hash (W3C SRI, 3.1). */
const integrityHash = /^sha(256|384|512)-[A-Za-z0-9+/]+={0,2}$/

/** A hash that is misspelt would fail late, and a field that is misspelt would never be checked. */
function checkIntegrity(name: string, integrity: WebLlmModelRecord['integrity']): void {
  if (integrity === undefined) return
  if (typeof integrity !== 'object' || integrity === null) refuse(`${name}.integrity must be an object.`)
  checkNames(`${name}.integrity`, 'field', integrity, ['config', 'model_lib', 'tokenizer', 'onFailure'])
  const { config, model_lib, tokenizer = {}, onFailure = 'error' } = integrity
  if (onFailure !== 'error' && onFailure !== 'warn') {
    refuse(`${name}.integrity.onFailure must be "error" or "warn".`)
  }
  const hashes = { config, model_lib, ...tokenizer }
  for (const [file, hash] of Object.entries(hashes)) {
    if (hash !== undefined && !(typeof hash === 'string' && integrityHash.test(hash))) {
      refuse(`${name}.integrity must hold a hash such as "sha256-…" in base64 for ${file}.`)
    }
  }
}

function resolveUrl(name: string, url: string): string {
  const base = globalThis.document?.baseURI
  if (!URL.canParse(url, base)) refuse(`${name} must be a URL.`)
  return new URL(url, base).href
}

function checkNames(owner: string, kind: string, given: object, names: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown !== undefined) refuse(`${owner} has no ${kind} "${unknown}"; it has: ${names.join(', ')}.`)
}
