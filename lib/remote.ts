import type { BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { readHeaders } from './read-headers.js'
import type { RemoteLoadOptions } from './contract/remote-options.js'
import { resolveUrl } from './resolve-url.js'

/** Options of `remote()`. */
export interface RemoteOptions {
  /** The URL of the server's API, absolute or relative to the page: `https://llm.example.com/v1`. */
  readonly baseURL: string | URL
  /** The model's name on the server. */
  readonly model: string
  /** The key to send as `Authorization: Bearer …`. Every user of the page can read it: use only the user's own key. */
  readonly apiKey?: string | undefined
  /** HTTP headers to send with every request. They never appear in an error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Aborts a request whose connection is silent for this many milliseconds. @default 60000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * True if the server can continue a partial answer, as vLLM (`continue_final_message`) and llama.cpp's server can. Then
   * the engine also accepts `continueFinalMessage`, and resumes an answer that broke off. Other servers would start the
   * answer again or refuse the request: with `false`, the server never gets a partial answer.
   * @default false
   */
  readonly canContinue?: boolean | undefined
  /**
   * Creates the worker, for bundlers that do not find its file. The worker's script must import `rivulet/remote.worker`.
   * @default a module worker from this package's file
   */
  readonly worker?: (() => Worker) | undefined
}

const optionNames: readonly string[] = [
  'baseURL',
  'model',
  'apiKey',
  'headers',
  'idleTimeoutMs',
  'canContinue',
  'worker',
] satisfies (keyof RemoteOptions)[]

/**
 * Streams from any server with OpenAI's API, such as vLLM or llama.cpp's server. With this backend, `createEngine` needs no
 * `model`, and its `download` option has no effect. Options that OpenAI's API lacks (`topK`, `minP`, `repetitionPenalty`)
 * are sent under vLLM's names. `topLogprobs` is refused, because OpenAI's API does not send token ids.
 * @throws RivuletError `invalid-option`
 */
export function remote(options: RemoteOptions): BackendFactory {
  const { worker = createWorker, ...serverOptions } = options
  refuseUnknown('remote()', options, optionNames)
  if (typeof worker !== 'function')
    refuse('remote({ worker }) must be a function that returns a Worker.', 'worker')
  return {
    name: 'remote',
    options: checkOptions(serverOptions),
    model: { kind: 'named' },
    checkAvailability: () =>
      Promise.resolve(
        navigator.onLine ? { isAvailable: true } : { isAvailable: false, reason: 'The browser is offline.' },
      ),
    createWorker: worker,
  }
}

function createWorker(): Worker {
  return new Worker(new URL('../workers/remote.worker.js', import.meta.url), {
    type: 'module',
    name: 'rivulet-remote',
  })
}

function checkOptions({
  baseURL,
  model,
  apiKey,
  headers = {},
  idleTimeoutMs = 60_000,
  canContinue = false,
}: Omit<RemoteOptions, 'worker'>): RemoteLoadOptions {
  if (typeof model !== 'string' || model === '') {
    refuse("remote({ model }) must be the model's name on the server.", 'model')
  }
  if (typeof idleTimeoutMs !== 'number' || !(idleTimeoutMs > 0 && idleTimeoutMs < 2 ** 31)) {
    refuse('remote({ idleTimeoutMs }) must be a number of milliseconds above 0.', 'idleTimeoutMs')
  }
  if (typeof canContinue !== 'boolean')
    refuse('remote({ canContinue }) must be true or false.', 'canContinue')
  if (apiKey !== undefined && (typeof apiKey !== 'string' || apiKey === '')) {
    refuse('remote({ apiKey }) must be a non-empty string.', 'apiKey')
  }
  const sent = apiKey === undefined ? headers : { ...headers, authorization: `Bearer ${apiKey}` }
  const checked =
    readHeaders(sent) ??
    refuse('remote({ headers, apiKey }) must be names and values that HTTP can send.', 'headers')
  return { baseUrl: checkUrl(baseURL), model, headers: checked, idleTimeoutMs, canContinue }
}

function checkUrl(baseURL: string | URL): string {
  const url = new URL(resolveUrl('remote({ baseURL })', baseURL))
  if (!/^https?:$/.test(url.protocol))
    refuse('remote({ baseURL }) must start with https: or http:.', 'baseURL')
  if (url.username || url.password)
    refuse('remote({ baseURL }) must not contain a password. Send it with "headers".', 'baseURL')
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}
