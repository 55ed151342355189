import type { BackendFactory } from './backend-factory.js'
import { checkDownloadOptions, type DownloadOptions } from './contract/download-options.js'
import { RivuletError } from './contract/errors.js'
import { locateModel, type ModelSource } from './contract/model-source.js'
import { checkRequest, type GenerateOptions, type GenerateRequest, type Prompt } from './contract/options.js'
import type { LoadProgress, ModelInfo } from './contract/worker-api.js'
import { createRecord, type GenerationEnd, type GenerationRecord } from './generation-record.js'
import { keepWorker, type Recovery } from './keep-worker.js'
import { observeLoad } from './observer.js'
import { startWorker, type Candidate, type LoadedWorker, type SkippedBackend } from './start-worker.js'
import { TokenStream } from './token-stream.js'

/** What `createEngine` is told. */
export interface EngineOptions {
  /**
   * One backend, or several in order of preference: the first is taken that can run here and load its model. Local ones
   * that would be slow here, such as `onnx()` without a real GPU, come behind the local ones that would not. When one
   * is lost for good, what it was writing goes on with the next.
   */
  readonly backend: BackendFactory | readonly BackendFactory[]
  /** The model's folder or file, for backends that are given none of their own: `remote()` and `webLlm()` name theirs. */
  readonly model?: ModelSource | undefined
  /** How its files are fetched and kept; nothing of it concerns files of the visitor's. */
  readonly download?: DownloadOptions | undefined
  /** Called while the model is loaded, and when it is loaded again; a list's next backend begins at 0 again. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Gives up loading; the returned promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Load the model again when its GPU is lost or its worker dies, and go on with the generations that ran: the same
   * streams, behind their last tokens. `result.recoveries` counts. `false` ends them with the error instead.
   * @default true
   */
  readonly recover?: boolean | undefined
  /** Called when the model is about to be loaded again, with what befell it: `device-lost` or `worker-failed`. */
  readonly onRecovery?: ((reason: RivuletError) => void) | undefined
  /** Called when a generation is over, however it ended, with a record of it that tracing takes; never with its texts. */
  readonly onGeneration?: ((record: GenerationRecord) => void) | undefined
}

/** A loaded model in its worker. */
export interface Engine extends AsyncDisposable {
  /** Of the model as it is loaded now: a recovery can have moved it to another device or backend. */
  readonly info: ModelInfo
  /** The backends of the list that were not taken, and why: they cannot run here, or could not load their model. */
  readonly skipped: readonly SkippedBackend[]
  /**
   * Starts a generation and returns its stream at once. Generations run one at a time, in the order of these calls.
   * @throws RivuletError `invalid-option` or `engine-disposed`, before any work; everything later errors the stream:
   *   `prompt-too-long`, `chat-template-failed`, `queue-full` (256 wait), `generation-failed`,
   *   `worker-failed`, `device-lost`
   */
  generate(prompt: Prompt, options?: GenerateOptions): TokenStream
  /** Cancels what runs or waits, then frees the model and its worker. May be called again. */
  dispose(): Promise<void>
}

/**
 * Loads a model into a worker of its own.
 * @throws RivuletError `invalid-option`, `backend-unavailable`, `model-not-found`, `model-invalid`,
 *   `model-unsupported`, `connection-failed`, `download-failed`, `integrity-failed`, `quota-exceeded`,
 *   `memory-exceeded`, `worker-failed`; `backend-unavailable` where several were given, with the reasons of all; or the
 *   reason of `signal`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  checkOptions(options)
  const {
    backend,
    model,
    download = {},
    onProgress,
    signal,
    recover = true,
    onRecovery,
    onGeneration,
  } = options
  const request = checkDownloadOptions(download)
  const place = { base: document.baseURI, hubUrl: download.hubUrl && String(download.hubUrl) }
  const locate = async (candidate: BackendFactory): Promise<Candidate> => {
    const own = candidate.model ?? model
    const located = own === undefined || own === 'named' ? noModel : await locateModel(own, place)
    return { backend: candidate, model: located }
  }
  const candidates = await Promise.all([backend].flat().map(locate))
  const plan = { candidates, download: request, persist: download.persist ?? true, onProgress }
  const first = await observeLoad(startWorker(plan, new Set(), signal))
  const start = startWorker.bind(undefined, plan)
  return createLoadedEngine(first, recover ? { candidates, start, onRecovery } : undefined, onGeneration)
}

const noModel = { kind: 'none' } as const

const optionNames: readonly string[] = [
  'backend',
  'model',
  'download',
  'onProgress',
  'signal',
  'recover',
  'onRecovery',
  'onGeneration',
] satisfies (keyof EngineOptions)[]

function checkOptions(options: EngineOptions): void {
  const unknown = Object.keys(options).find((name) => !optionNames.includes(name))
  if (unknown !== undefined) {
    refuse(`createEngine() has no option "${unknown}"; it has: ${optionNames.join(', ')}.`)
  }
  const { backend, model, signal, recover } = options
  if ([backend].flat().some((candidate) => typeof candidate?.createWorker !== 'function')) {
    refuse('"backend" must be a backend, such as onnx(), or a list of them.')
  }
  const needsModel = [backend].flat().some((candidate) => candidate.model === undefined)
  if (needsModel && typeof model !== 'string' && (typeof model !== 'object' || model === null)) {
    refuse('"model" must be a string, a URL, a directory handle or a list of files.')
  }
  for (const name of ['onProgress', 'onRecovery', 'onGeneration'] as const) {
    const callback: unknown = options[name]
    if (callback !== undefined && typeof callback !== 'function') refuse(`"${name}" must be a function.`)
  }
  if (recover !== undefined && typeof recover !== 'boolean') refuse('"recover" must be true or false.')
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse('"signal" must be an AbortSignal.')
  if (typeof document === 'undefined') {
    throw new RivuletError(
      'backend-unavailable',
      'createEngine() needs a page: call it in a browser, not on a server.',
    )
  }
}

function refuse(message: string): never {
  throw new RivuletError('invalid-option', message)
}

/** How long a busy worker has to free the GPU by itself before it is ended. */
const unloadTimeoutMs = 1000

function createLoadedEngine(
  first: LoadedWorker,
  recovery: Recovery | undefined,
  onGeneration: EngineOptions['onGeneration'],
): Engine {
  const disposing = new AbortController()
  const kept = keepWorker(first, recovery, disposing.signal)
  let generations = 0
  let disposed: Promise<void> | undefined

  async function dispose(): Promise<void> {
    disposing.abort(disposedError())
    const { connection } = kept.current
    const timeout = new Promise((resolve) => setTimeout(resolve, unloadTimeoutMs))
    // The worker ends in any case; asking it first lets the runtime give the GPU its memory back.
    await Promise.race([connection.call((worker) => worker.unload()).catch(() => {}), timeout])
    connection.terminate(disposedError())
  }
  function tellOfGeneration(request: GenerateRequest, end: GenerationEnd): void {
    const record = createRecord(request, kept.current.info, end)
    // In a turn of its own: what it throws is the page's error, and none of the stream's.
    queueMicrotask(() => onGeneration?.(record))
  }

  const disposeOnce = () => (disposed ??= dispose())

  return {
    get info() {
      return kept.current.info
    },
    get skipped() {
      return kept.current.skipped
    },
    generate(prompt, options) {
      const checked = checkRequest(prompt, options)
      const request = { ...checked, seed: checked.seed ?? drawSeed() }
      if (disposed) throw disposedError()
      checkCanContinue(request, kept.current.info)
      const order = generations++
      return new TokenStream({
        async take() {
          const { connection, info } = await kept.take(order)
          return {
            info,
            generate(said) {
              // Another backend can have taken over since.
              checkCanContinue(request, info)
              return connection.call((worker) => worker.generate({ ...request, ...(said && { said }) }))
            },
            closed: connection.closed,
            giveUp: connection.terminate,
            moveOn: (reason) => kept.moveOn(connection, reason),
          }
        },
        canRecover: recovery !== undefined,
        signal: options?.signal,
        disposed: disposing.signal,
        onEnd: onGeneration && tellOfGeneration.bind(undefined, request),
      })
    },
    dispose: disposeOnce,
    [Symbol.asyncDispose]: disposeOnce,
  }
}

function checkCanContinue({ begun }: GenerateRequest, { backend, canContinue }: ModelInfo): void {
  if (begun === undefined || canContinue) return
  refuse(
    `"continueFinalMessage" needs a backend that can go on with a text: ${backend} cannot, or is not said to.`,
  )
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!
}

function disposedError(): RivuletError {
  return new RivuletError('engine-disposed', 'The engine was disposed. Create a new one with createEngine().')
}
