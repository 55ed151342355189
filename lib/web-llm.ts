import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { checkWebLlmDevice } from './contract/choose-device.js'
import { probeDevices } from './contract/devices.js'
import {
  webLlmCaches,
  type WebLlmCache,
  type WebLlmLoadOptions,
  type WebLlmModelRecord,
} from './contract/web-llm-options.js'
import { resolveUrl } from './resolve-url.js'

export type { WebLlmCache, WebLlmIntegrity, WebLlmModelRecord } from './contract/web-llm-options.js'

/** Options of `webLlm()`. */
export interface WebLlmOptions {
  /** The id of a model in `modelRecords` or in web-llm's own list, such as `Qwen2.5-0.5B-Instruct-q4f16_1-MLC`. */
  readonly model: string
  /**
   * Additional models, searched before web-llm's own list. `model` and `model_lib` may be relative to the page. The files
   * named in `integrity` are verified during loading (error `integrity-failed`). web-llm cannot verify the weights.
   */
  readonly modelRecords?: readonly WebLlmModelRecord[] | undefined
  /** Where web-llm stores downloaded files. @default 'cache' (web-llm's default) */
  readonly cache?: WebLlmCache | undefined
  /**
   * Maximum length of prompt and answer together, in tokens. A smaller number needs less memory.
   * @default the model's context length
   */
  readonly contextLength?: number | undefined
  /**
   * Creates the worker, for bundlers that do not find its file. The worker's script must import `rivulet/web-llm.worker`.
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
 * Runs MLC models on WebGPU with @mlc-ai/web-llm (an optional peer dependency: install `@mlc-ai/web-llm`). With this
 * backend, `createEngine` needs no `model`, and its `download` options have no effect: web-llm has its own store.
 *
 * Some guarantees of the stream do not hold with this runtime:
 * - The text of a control token in a message becomes the control token. If the token is one of the model's chat template,
 *   the message is refused (`invalid-option`), so that nobody can forge a turn. Other control tokens of the tokenizer are
 *   not detected. In a raw prompt (`applyChatTemplate: false`), no control tokens are detected.
 * - The prompt is computed in one step: a cancel during prefill takes effect after the first token.
 * - If the GPU is lost, the answer fails with `device-lost` and the text so far. The next request runs in a new worker.
 * - There are no token ids. `topK`, `minP` and `topLogprobs` are refused. `repetitionPenalty` applies only to tokens of
 *   the answer.
 * - `responseFormat` needs messages. `reasoning` can only be `'off'`: for models without thoughts, and for those that
 *   think in `<think>` marks. A thought is never a part of the text. There are no tools.
 * @throws RivuletError `invalid-option`
 */
export function webLlm(options: WebLlmOptions): BackendFactory {
  const { worker = createWorker, ...plainOptions } = options
  refuseUnknown('webLlm()', options, optionNames)
  if (typeof worker !== 'function') refuse('webLlm({ worker }) must be a function that returns a Worker.')
  const loadOptions = checkOptions(plainOptions)
  return {
    name: 'web-llm',
    options: loadOptions,
    model: { kind: 'named' },
    checkAvailability: () => checkAvailability(loadOptions),
    createWorker: worker,
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/web-llm.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-web-llm',
  })
}

async function checkAvailability(options: WebLlmLoadOptions): Promise<BackendAvailability> {
  const unavailable = checkWebLlmDevice(await probeDevices(), options)
  return unavailable ? { isAvailable: false, reason: unavailable.reason } : { isAvailable: true }
}

function checkOptions({
  model,
  modelRecords = [],
  cache,
  contextLength,
}: Omit<WebLlmOptions, 'worker'>): WebLlmLoadOptions {
  if (typeof model !== 'string' || model === '')
    refuse('webLlm({ model }) must be the id of a model, as a string.')
  if (cache !== undefined && !webLlmCaches.includes(cache)) {
    refuse(`webLlm({ cache }) must be one of ${webLlmCaches.join(', ')}.`)
  }
  if (contextLength !== undefined && !(Number.isSafeInteger(contextLength) && contextLength > 0)) {
    refuse('webLlm({ contextLength }) must be a number of tokens: an integer, 1 or more.')
  }
  if (!Array.isArray(modelRecords)) refuse('webLlm({ modelRecords }) must be an array of model records.')
  return { model, modelRecords: modelRecords.map(checkRecord), cache, contextLength }
}

/** Checks a record and returns a plain copy, because only data that can be cloned can be posted to the worker. */
function checkRecord(record: WebLlmModelRecord, index: number): WebLlmModelRecord {
  const name = `webLlm({ modelRecords })[${index}]`
  if (typeof record !== 'object' || record === null) refuse(`${name} must be an object.`)
  refuseUnknown(name, record, recordFields, 'field')
  for (const field of ['model', 'model_id', 'model_lib'] as const) {
    if (typeof record[field] !== 'string' || record[field] === '')
      refuse(`${name}.${field} must be a string that is not empty.`)
  }
  checkIntegrity(name, record.integrity)
  const model = resolveUrl(`${name}.model`, record.model)
  const model_lib = resolveUrl(`${name}.model_lib`, record.model_lib)
  try {
    return structuredClone({ ...record, model, model_lib })
  } catch {
    return refuse(`${name} must contain only plain data: no functions, no class instances.`)
  }
}

/** Matches a hash in the syntax of Subresource Integrity (W3C SRI, section 3.1). */
const integrityHash = /^sha(256|384|512)-[A-Za-z0-9+/]+={0,2}$/

/** Checks the hashes here, because a malformed hash would fail late, and a misspelled field would never be verified. */
function checkIntegrity(name: string, integrity: WebLlmModelRecord['integrity']): void {
  if (integrity === undefined) return
  if (typeof integrity !== 'object' || integrity === null) refuse(`${name}.integrity must be an object.`)
  refuseUnknown(`${name}.integrity`, integrity, ['config', 'model_lib', 'tokenizer', 'onFailure'], 'field')
  const { config, model_lib, tokenizer = {}, onFailure = 'error' } = integrity
  if (onFailure !== 'error' && onFailure !== 'warn') {
    refuse(`${name}.integrity.onFailure must be "error" or "warn".`)
  }
  const hashes = { config, model_lib, ...tokenizer }
  for (const [file, hash] of Object.entries(hashes)) {
    if (hash !== undefined && !(typeof hash === 'string' && integrityHash.test(hash))) {
      refuse(
        `${name}.integrity: the hash for ${file} must be "sha256-…", "sha384-…" or "sha512-…" in base64.`,
      )
    }
  }
}
