import { RivuletError, asRivuletError, describeError, type WrappingCode } from '../../lib/contract/errors.js'
import type { WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import { isNetworkFailure } from '../network-failure.js'
import type { AppConfig, WebLlmRuntime } from './runtime.js'

/** Codes for errors of a load, by error name: web-llm exports hardly any of its error classes. */
const loadCodes: Readonly<Record<string, WrappingCode>> = {
  ModelNotFoundError: 'model-not-found',
  WebGPUNotAvailableError: 'backend-unavailable',
  WebGPUNotFoundError: 'backend-unavailable',
  ShaderF16SupportError: 'model-unsupported',
  FeatureSupportError: 'model-unsupported',
  UnsupportedTokenizerFilesError: 'model-unsupported',
  DeviceLostError: 'device-lost',
}

/** web-llm's messages for an adapter that it cannot use; these errors have no class. */
const unusableAdapter = /compatible GPU|Cannot initialize runtime because/
/** Matches the name or the message of an error: web-llm's IndexedDB store turns errors into strings. */
const fullStore = /QuotaExceeded/
/** Matches the messages of web-llm's three stores for a failed download. */
const failedStore = /fetch|network|on 'Cache'|Failed to store/i

function isFailedDownload(words: string): boolean {
  return isNetworkFailure(words) || failedStore.test(words)
}

interface FailedModel {
  readonly record: WebLlmModelRecord
  readonly appConfig: AppConfig
}

/** Turns an error of `reload` into a `RivuletError`. Removes a stored file that would fail every later load too. */
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
  if (isFailedDownload(words)) {
    return asRivuletError(error, 'download-failed', 'A model file could not be downloaded')
  }
  const what = isCompileError(error)
    ? `${model.record.model_lib} is not a valid model library for this version of web-llm`
    : 'web-llm could not load the model'
  return asRivuletError(error, 'model-invalid', what)
}

/**
 * Removes a stored file that is invalid. A server can answer with the app's HTML page for a missing file; web-llm stores
 * that page like any other file.
 */
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
  // Safari has no `estimate` before version 17.
  const storage: Partial<StorageManager> = navigator.storage
  const { quota = 0, usage = 0 } = (await storage.estimate?.()) ?? {}
  const availableBytes = Math.max(0, quota - usage)
  return new RivuletError(
    'quota-exceeded',
    `The browser has no space for "${record.model_id}": it allows this site ${availableBytes} more bytes. Free space, then retry.`,
    { cause, details: { availableBytes } },
  )
}

function isCompileError(error: unknown): boolean {
  return error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError
}

/**
 * Returns the URLs of files that may be missing on the server. A missing library shows up as a compile error of its 404
 * page.
 */
function listSuspects(
  error: unknown,
  { model, model_lib, model_manifest }: WebLlmModelRecord,
): readonly string[] {
  if (isCompileError(error)) return [model_lib]
  const isUnreadable = error instanceof SyntaxError
  if (!isUnreadable && !isFailedDownload(describeError(error))) return []
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

/** Creates the error for a wrong hash. Removes the damaged file: web-llm stores a file before it checks the hash. */
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
    `The hash of ${url} is ${actual}, but ${expected} is required. The stored file was removed. Retry, or correct "integrity" in the model record.`,
    { cause: error, details: { file: url, expected, got: actual } },
  )
}

/** Waits until a file is removed. Ignores a failure: the next load then fails with the same error. */
async function tryForget(forgotten: Promise<void>): Promise<void> {
  await forgotten.catch(() => {})
}

/** Returns an error if the server lacks or refuses a file. Asks for each status, because web-llm does not report it. */
async function findMissingFile(urls: readonly string[], cause: unknown): Promise<RivuletError | undefined> {
  const statuses = await Promise.all(urls.map(askStatus))
  const failed = urls.findIndex((_, index) => isFailure(statuses[index]))
  if (failed < 0) return undefined
  const status = statuses[failed]!
  const isMissing = status === 404 || status === 410
  return new RivuletError(
    isMissing ? 'model-not-found' : 'download-failed',
    isMissing
      ? `${urls[failed]} does not exist (${status}). Check the model id; the model may not be available for this version of web-llm.`
      : `${urls[failed]} answered ${status}. Retry later.`,
    { cause },
  )
}

/** Returns the folder's URL, as computed by web-llm's `cleanModelUrl`. */
function locateFolder(model: string): string {
  const folder = model.endsWith('/') ? model : `${model}/`
  return /.+\/resolve\/.+\//.test(folder) ? folder : `${folder}resolve/main/`
}

const statusTimeoutMs = 5000

/** @returns the HTTP status; 404 for an HTML page, which is never a model file; undefined if there is no answer */
async function askStatus(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(statusTimeoutMs) })
    // It is empty. Chromium reports a request whose body is not read as aborted.
    await response.arrayBuffer()
    const isPage = response.headers.get('content-type')?.startsWith('text/html')
    return response.ok && isPage ? 404 : response.status
  } catch {
    return undefined
  }
}

/** Returns true if the status is an error. 405 and 501 only mean that the server does not support HEAD. */
function isFailure(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status !== 405 && status !== 501
}

/** Codes for errors of a generation, by error name. web-llm checks the order of messages itself, before any work. */
const requestCodes: Readonly<Record<string, WrappingCode>> = {
  ContextWindowSizeExceededError: 'prompt-too-long',
  MessageOrderError: 'invalid-option',
  SystemMessageOrderError: 'invalid-option',
  GrammarMatcherInitError: 'invalid-option',
  // When the device is lost, web-llm unloads the model.
  ModelNotLoadedError: 'device-lost',
  DeviceLostError: 'device-lost',
}

/** Turns an error of a generation into a `RivuletError` if its kind is known; returns other errors unchanged. */
export function explainGenerationFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof RivuletError) return error
  const code = /already been disposed/.test(error.message) ? 'device-lost' : requestCodes[error.name]
  if (code === undefined) return error
  if (code === 'device-lost') return asRivuletError(error, code, 'The GPU was lost')
  return new RivuletError(code, error.message, { cause: error })
}
