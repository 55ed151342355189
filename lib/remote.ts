import type { BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import { readHeaders } from './contract/read-headers.js'
import type { RemoteLoadOptions } from './contract/remote-options.js'

/** Options of `remote()`. */
export interface RemoteOptions {
  /** The server's API, absolute or relative to the page: `https://llm.example.com/v1`. */
  readonly baseURL: string | URL
  /** The server's name for the model. */
  readonly model: string
  /** Sent as `Authorization: Bearer …`. Whoever opens the page can read it: give it only to visitors it belongs to. */
  readonly apiKey?: string | undefined
  /** Sent with each request. Never part of an error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A connection that brings no byte for so long, in milliseconds, is given up. @default 60000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * The server can go on with an answer, one that broke off elsewhere or `continueFinalMessage`'s, as vLLM
   * (`continue_final_message`) and llama.cpp's server can. Others would begin it anew, or refuse: they are given none.
   * @default false
   */
  readonly canContinue?: boolean | undefined
  /**
   * Makes the worker, for bundlers that do not find it by themselves. Its script must import `rivulet/remote.worker`.
   * @default a module worker from the package's own file
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
 * Streams from any server with OpenAI's API: vLLM, llama.cpp's server, and others. `createEngine` needs no `model` then.
 * Options that OpenAI's API lacks (`topK`, `minP`, `repetitionPenalty`) are sent under vLLM's names. `topLogprobs` is
 * refused: token ids do not come over this wire. `createEngine`'s "download" does not concern it.
 * @throws RivuletError `invalid-option`
 */
export function remote(options: RemoteOptions): BackendFactory {
  const { worker = createWorker, ...told } = options
  refuseUnknown('remote()', options, optionNames)
  if (typeof worker !== 'function') refuse('remote({ worker }) must be a function that returns a Worker.')
  return {
    name: 'remote',
    options: checkOptions(told),
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
    refuse("remote({ model }) must be the server's name for the model.")
  }
  if (typeof idleTimeoutMs !== 'number' || !(idleTimeoutMs > 0 && idleTimeoutMs < 2 ** 31)) {
    refuse('remote({ idleTimeoutMs }) must be a number of milliseconds above 0.')
  }
  if (typeof canContinue !== 'boolean') refuse('remote({ canContinue }) must be true or false.')
  if (apiKey !== undefined && (typeof apiKey !== 'string' || apiKey === '')) {
    refuse('remote({ apiKey }) must be a string that is not empty.')
  }
  const sent = apiKey === undefined ? headers : { ...headers, authorization: `Bearer ${apiKey}` }
  const checked =
    readHeaders(sent) ?? refuse('remote({ headers, apiKey }) must be names and values that HTTP can send.')
  return { baseUrl: checkUrl(baseURL), model, headers: checked, idleTimeoutMs, canContinue }
}

function checkUrl(baseURL: string | URL): string {
  const base = globalThis.document?.baseURI
  if (!URL.canParse(String(baseURL), base)) refuse('remote({ baseURL }) must be a URL.')
  const url = new URL(String(baseURL), base)
  if (!/^https?:$/.test(url.protocol)) refuse('remote({ baseURL }) must begin with https: or http:.')
  if (url.username || url.password) refuse('remote({ baseURL }) must hold no password: use "headers".')
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}
