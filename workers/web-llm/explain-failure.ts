import { RivuletError, asRivuletError, describeError, type WrappingCode } from '../../lib/contract/errors.js'
import type { WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import type { AppConfig, WebLlmRuntime } from './runtime.js'

/** web-llm exports hardly any of its error classes: they are told by name. */
const loadCodes: Readonly<Record<string, WrappingCode>> = {
  ModelNotFoundError: 'model-not-found',
  WebGPUNotAvailableError: 'backend-unavailable',
  WebGPUNotFoundError: 'backend-unavailable',
  ShaderF16SupportError: 'model-unsupported',
  FeatureSupportError: 'model-unsupported',
  UnsupportedTokenizerFilesError: 'model-unsupported',
  DeviceLostError: 'device-lost',
}

/** Of errors without a class: web-llm's own words for an adapter that it cannot use. */
const unusableAdapter = /compatible GPU|Cannot initialize runtime because/
/** web-llm's IndexedDB store turns errors into strings. */
const fullStore = /QuotaExceeded/
/** What the browser and web-llm's three stores say of a file that did not come. */
const failedFetch = /fetch|network|on 'Cache'|Failed to store/i

interface FailedModel {
  readonly record: WebLlmModelRecord
  readonly appConfig: AppConfig
}

/** What `reload` threw, as one of our errors; forgets a file that would fail every later load too. */
export async function explainLoadFailure(
  error: unknown,
  model: FailedModel,
  runtime: WebLlmRuntime,
): Promise<RivuletError> {
  if (error instanceof RivuletError) return error
  const name = error instanceof Error ? error.name : ''
  if (name === 'IntegrityError') return explainMismatch(error as IntegrityError, model, runtime)
  const words = describeError(error)
  if (fullStore.test(`${name} ${words}`)) return explainFullStore(model, error)
  const code = loadCodes[name] ?? (unusableAdapter.test(words) ? 'backend-unavailable' : undefined)
  if (code) return asRivuletError(error, code, 'web-llm could not load the model')
  await forgetBrokenFile(error, model, runtime)
  const missing = await findMissingFile(listSuspects(error, model.record), error)
  if (missing) return missing
  if (failedFetch.test(words)) {
    return asRivuletError(error, 'download-failed', 'A file of the model did not come')
  }
  const what = isCompileError(error)
    ? `${model.record.model_lib} is no library for this web-llm`
    : 'web-llm could not load the model'
  return asRivuletError(error, 'model-invalid', what)
}

/** An app's own page, with which its server answers for what it has not, is stored like any other file. */
async function forgetBrokenFile(
  error: unknown,
  { record, appConfig }: FailedModel,
  runtime: WebLlmRuntime,
): Promise<void> {
  if (isCompileError(error)) await tryForget(runtime.deleteModelWasmInCache(record.model_id, appConfig))
  if (error instanceof SyntaxError) {
    await tryForget(runtime.deleteChatConfigInCache(record.model_id, appConfig))
  }
}

async function explainFullStore({ record }: FailedModel, cause: unknown): Promise<RivuletError> {
  const { quota = 0, usage = 0 } = await navigator.storage.estimate()
  const availableBytes = Math.max(0, quota - usage)
  return new RivuletError(
    'quota-exceeded',
    `The browser has no room for "${record.model_id}": it keeps ${availableBytes} more bytes for this site.`,
    { cause, details: { availableBytes } },
  )
}

function isCompileError(error: unknown): boolean {
  return error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError
}

/** What the server may lack: a missing library shows as a compile error of its 404 page. */
function listSuspects(
  error: unknown,
  { model, model_lib, model_manifest }: WebLlmModelRecord,
): readonly string[] {
  if (isCompileError(error)) return [model_lib]
  const isUnreadable = error instanceof SyntaxError
  if (!isUnreadable && !failedFetch.test(describeError(error))) return []
  const files = ['mlc-chat-config.json', 'tensor-cache.json', model_manifest]
  const folder = locateFolder(model)
  const urls = files.flatMap((file) => (file === undefined ? [] : new URL(file, folder).href))
  return isUnreadable ? urls : [...urls, model_lib]
}

interface IntegrityError {
  readonly url: string
  readonly expected: string
  readonly actual: string
}

/** web-llm stores a file before it looks at it. */
async function explainMismatch(
  error: IntegrityError,
  { record, appConfig }: FailedModel,
  runtime: WebLlmRuntime,
): Promise<RivuletError> {
  const { url, expected, actual } = error
  const isConfig = url.endsWith('/mlc-chat-config.json')
  const forget =
    url === record.model_lib
      ? runtime.deleteModelWasmInCache
      : isConfig
        ? runtime.deleteChatConfigInCache
        : runtime.deleteModelInCache
  await tryForget(forget(record.model_id, appConfig))
  return new RivuletError(
    'integrity-failed',
    `${url} is not what it must be: its hash is ${actual}, not ${expected}.`,
    { cause: error, details: { file: url, expected, got: actual } },
  )
}

/** What stays behind fails the next load in the same words. */
async function tryForget(forgotten: Promise<void>): Promise<void> {
  await forgotten.catch(() => {})
}

/** web-llm does not tell a status: it is asked for. */
async function findMissingFile(urls: readonly string[], cause: unknown): Promise<RivuletError | undefined> {
  const statuses = await Promise.all(urls.map(askStatus))
  const failed = urls.findIndex((_, index) => isFailure(statuses[index]))
  if (failed < 0) return undefined
  const status = statuses[failed]!
  const isMissing = status === 404 || status === 410
  return new RivuletError(
    isMissing ? 'model-not-found' : 'download-failed',
    `${urls[failed]} answers ${status}${isMissing ? ': this model is not there, or not for this version of web-llm' : ''}.`,
    { cause },
  )
}

/** As web-llm's `cleanModelUrl` has it. */
function locateFolder(model: string): string {
  const folder = model.endsWith('/') ? model : `${model}/`
  return /.+\/resolve\/.+\//.test(folder) ? folder : `${folder}resolve/main/`
}

const statusTimeoutMs = 5000

/** @returns 404 also for a page, which no file of a model is; undefined where nothing answers */
async function askStatus(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(statusTimeoutMs) })
    const isPage = response.headers.get('content-type')?.startsWith('text/html')
    return response.ok && isPage ? 404 : response.status
  } catch {
    return undefined
  }
}

/** Some servers know no HEAD. */
function isFailure(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status !== 405 && status !== 501
}

/** web-llm checks the order of messages itself, before any work. */
const requestCodes: Readonly<Record<string, WrappingCode>> = {
  ContextWindowSizeExceededError: 'prompt-too-long',
  MessageOrderError: 'invalid-option',
  SystemMessageOrderError: 'invalid-option',
  // A lost device empties the engine.
  ModelNotLoadedError: 'device-lost',
  DeviceLostError: 'device-lost',
}

/** What a generation threw: as one of our errors where its kind is known, else as it is. */
export function explainGenerationFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof RivuletError) return error
  const code = /already been disposed/.test(error.message) ? 'device-lost' : requestCodes[error.name]
  if (code === undefined) return error
  if (code === 'device-lost') return asRivuletError(error, code, 'The GPU was lost')
  return new RivuletError(code, error.message, { cause: error })
}
