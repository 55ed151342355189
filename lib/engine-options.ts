import type { BackendFactory } from './backend-factory.js'
import { refuse, refuseUnknown } from './contract/check-options.js'
import type { DownloadOptions } from './download-options.js'
import type { RivuletError } from './contract/errors.js'
import type { ModelSource } from './locate-model.js'
import type { LoadProgress } from './contract/worker-api.js'
import type { Router } from './router.js'
import type { EngineObserver } from './observer.js'

/** Options of `createEngine`. */
export interface EngineOptions {
  /**
   * One backend, or a list in order of preference. rivulet uses the first backend that can run and load its model. Local
   * backends that would be slow, such as `onnx()` without a GPU, are tried after the other local backends. If a backend is
   * lost for good, the next backend continues the running answers.
   */
  readonly backend: BackendFactory | readonly BackendFactory[]
  /**
   * The model's folder or file, for every backend whose options do not name a model. The options of `remote()` and
   * `webLlm()` always name one.
   */
  readonly model?: ModelSource | undefined
  /** How the model's files are downloaded, checked and stored. For local files, only `sha256` is used. */
  readonly download?: DownloadOptions | undefined
  /**
   * Called while the model is loaded, and while it is loaded again after its worker or GPU was lost. If the next backend of
   * a list is tried, the progress starts at 0 again.
   */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Aborts loading. The promise that `createEngine` returned then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * If true, loads the model again when its GPU or worker is lost. The running generations then continue in the same
   * streams, after their last tokens. `result.recoveries` counts the losses. If false, the streams end with the error.
   * If the GPU is lost while the model is loading, the load starts again, up to two times.
   * @default true
   */
  readonly recover?: boolean | undefined
  /**
   * Called before the model is loaded again, with the error that describes the loss. Its code is `device-lost` or
   * `worker-failed`; if the backend was a server in a list, its code can also be `connection-failed`.
   */
  readonly onRecovery?: ((reason: RivuletError) => void) | undefined
  /**
   * Chooses a backend of the list for each generation: `routing()` of `rivulet/routing`. All backends are then loaded.
   * @default the first backend that can run, until it is lost for good
   */
  readonly route?: Router | undefined
  /**
   * Where the model is loaded. `tab`: in a worker of this engine. `shared`: once for the engines of all tabs of the origin
   * that have the same backends, options and model; their generations take turns. Where tabs cannot share a worker, and for
   * local files, `shared` works as `tab`: `engine.info.host` says which it is.
   * @default 'tab'
   */
  readonly host?: 'tab' | 'shared' | SharedHost | undefined
  /**
   * How long the worker may compute for a waiting reader without progress, in milliseconds. Then it is ended, and the answer
   * continues in a new one. A long prompt gets 25 ms more for each character, and a slow worker ten times its longest step so
   * far. While a model is loaded, the worker only has to answer: it gets 100 ms more for each megabyte of the files, and the load
   * starts again, up to two times. `Infinity` never ends a worker.
   * @default 60000
   */
  readonly silenceTimeoutMs?: number | undefined
  /** Watches loads and generations, for logging, tracing or live figures. The observers of a list are called in order. */
  readonly observer?: EngineObserver | readonly EngineObserver[] | undefined
}

/** `host: 'shared'`, with its options. */
export interface SharedHost {
  readonly kind: 'shared'
  /**
   * How long the model stays loaded after the last engine was disposed or its tab was closed, in milliseconds. It stays only
   * while the tab is open that loaded it.
   * @default 2000
   */
  readonly lingerMs?: number | undefined
  /**
   * Creates the SharedWorker that connects the tabs, for bundlers that do not find its file. Its script must import
   * `rivulet/switchboard.worker`.
   * @default a module worker from the package's own file
   */
  readonly worker?: (() => SharedWorker) | undefined
}

const optionNames: readonly string[] = [
  'backend',
  'model',
  'download',
  'onProgress',
  'signal',
  'recover',
  'onRecovery',
  'route',
  'host',
  'silenceTimeoutMs',
  'observer',
] satisfies (keyof EngineOptions)[]

/**
 * Checks the options of `createEngine`.
 * @throws RivuletError `invalid-option`
 */
export function checkEngineOptions(options: EngineOptions): void {
  if (typeof options !== 'object' || options === null) refuse('createEngine() takes an object of options.')
  refuseUnknown('createEngine()', options, optionNames)
  const { backend, model, download, signal, recover, route, host, silenceTimeoutMs = 1, observer } = options
  const backends = [backend].flat()
  if (backends.some((candidate) => typeof candidate?.createWorker !== 'function')) {
    refuse('"backend" must be a backend, such as onnx(), or a list of them.', 'backend')
  }
  if (route !== undefined && (typeof route?.open !== 'function' || backends.length < 2)) {
    refuse('"route" must be what routing() returns, and needs a list of backends.', 'route')
  }
  const needModel = backends.filter((candidate) => candidate.model.kind === 'engine')
  if (needModel.length > 0 && model === undefined) {
    refuse('"model" is missing. Pass a URL, a name on the hub, a directory handle or files.', 'model')
  }
  if (model !== undefined && needModel.length === 0) {
    refuse('"model" is not used: every backend in "backend" has its own. Leave it out.', 'model')
  }
  if (download !== undefined && backends.every((candidate) => candidate.model.kind === 'named')) {
    const names = backends.map(({ name }) => name).join(', ')
    refuse(`"download" is not used by ${names}. Leave it out.`, 'download')
  }
  for (const name of ['onProgress', 'onRecovery'] as const) {
    const callback: unknown = options[name]
    if (callback !== undefined && typeof callback !== 'function')
      refuse(`"${name}" must be a function.`, name)
  }
  const observers: readonly unknown[] = [observer ?? []].flat()
  if (observers.some((each) => typeof each !== 'object' || each === null)) {
    refuse(
      '"observer" must be an object with methods such as onStart, onChunk and onEnd, or a list of them.',
      'observer',
    )
  }
  if (typeof host === 'object' && host !== null) checkSharedHost(host)
  else if (host !== undefined && host !== 'tab' && host !== 'shared')
    refuse("\"host\" must be 'tab', 'shared' or { kind: 'shared', … }.", 'host')
  if (typeof silenceTimeoutMs !== 'number' || !(silenceTimeoutMs > 0))
    refuse('"silenceTimeoutMs" must be a number of milliseconds above 0, or Infinity.', 'silenceTimeoutMs')
  if (recover !== undefined && typeof recover !== 'boolean')
    refuse('"recover" must be true or false.', 'recover')
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    refuse('"signal" must be an AbortSignal.', 'signal')
  }
}

function checkSharedHost(host: SharedHost): void {
  refuseUnknown('"host"', host, ['kind', 'lingerMs', 'worker'] satisfies (keyof SharedHost)[])
  const { kind, lingerMs = 0, worker } = host
  if (kind !== 'shared') refuse('"host.kind" must be \'shared\'.', 'host')
  if (typeof lingerMs !== 'number' || !(lingerMs >= 0 && lingerMs <= 2 ** 31 - 1))
    refuse('"host.lingerMs" must be a number of milliseconds from 0 to 2147483647.', 'host')
  if (worker !== undefined && typeof worker !== 'function')
    refuse('"host.worker" must be a function that returns a SharedWorker.', 'host')
}
