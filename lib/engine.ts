import type { BackendFactory } from './backend-factory.js'
import { connectWorker, type WorkerConnection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import { resolveModelFolder, type ModelSource } from './contract/model-source.js'
import { checkRequest, type GenerateOptions, type Prompt } from './contract/options.js'
import type { LoadProgress, LoadRequest, ModelInfo } from './contract/worker-api.js'
import { TokenStream } from './token-stream.js'

/** What `createEngine` is told. */
export interface EngineOptions {
  /** One backend, or several in order of preference: the first that can run here is taken. */
  readonly backend: BackendFactory | readonly BackendFactory[]
  /** The model's folder. */
  readonly model: ModelSource
  /** Called while the model is loaded. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Gives up loading; the returned promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A loaded model in its worker. */
export interface Engine extends AsyncDisposable {
  readonly info: ModelInfo
  /**
   * Starts a generation and returns its stream at once. Generations run one at a time, in the order of these calls.
   * @throws RivuletError `invalid-option` or `engine-disposed`, before any work; everything later errors the stream:
   *   `prompt-too-long`, `chat-template-failed`, `generation-failed`, `worker-failed`
   */
  generate(prompt: Prompt, options?: GenerateOptions): TokenStream
  /** Cancels what runs or waits, then frees the model and its worker. May be called again. */
  dispose(): Promise<void>
}

/**
 * Loads a model into a worker of its own.
 * @throws RivuletError `invalid-option`, `backend-unavailable`, `model-not-found`, `model-invalid`,
 *   `model-unsupported`, `download-failed`, `worker-failed`; or the reason of `signal`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  checkOptions(options)
  const { model, onProgress, signal } = options
  const request = { modelFolder: resolveModelFolder(model, document.baseURI) }
  signal?.throwIfAborted()
  const backend = await chooseBackend(options.backend)
  signal?.throwIfAborted()
  const connection = connectWorker(backend.createWorker())
  try {
    const info = await load(connection, { ...request, options: backend.options }, onProgress, signal)
    return createLoadedEngine(connection, info)
  } catch (error) {
    connection.terminate(disposedError())
    throw error
  }
}

const optionNames: readonly string[] = [
  'backend',
  'model',
  'onProgress',
  'signal',
] satisfies (keyof EngineOptions)[]

function checkOptions(options: EngineOptions): void {
  const unknown = Object.keys(options).find((name) => !optionNames.includes(name))
  if (unknown !== undefined) {
    refuse(`createEngine() has no option "${unknown}"; it has: ${optionNames.join(', ')}.`)
  }
  const { backend, model, onProgress, signal } = options
  if ([backend].flat().some((candidate) => typeof candidate?.createWorker !== 'function')) {
    refuse('"backend" must be a backend, such as onnx(), or a list of them.')
  }
  if (typeof model !== 'string' && !(model instanceof URL)) refuse('"model" must be a string or a URL.')
  if (onProgress !== undefined && typeof onProgress !== 'function') refuse('"onProgress" must be a function.')
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

async function chooseBackend(backend: EngineOptions['backend']): Promise<BackendFactory> {
  const backends = [backend].flat()
  const reasons: string[] = []
  for (const candidate of backends) {
    const availability = await candidate.checkAvailability()
    if (availability.isAvailable) return candidate
    reasons.push(`${candidate.name}: ${availability.reason}`)
  }
  throw new RivuletError(
    'backend-unavailable',
    backends.length === 0 ? 'No backend was given.' : `No backend can run here. ${reasons.join(' ')}`,
  )
}

async function load(
  connection: WorkerConnection,
  request: LoadRequest,
  onProgress: EngineOptions['onProgress'],
  signal: AbortSignal | undefined,
): Promise<ModelInfo> {
  // Ending the worker is the one way to stop a load that is certain to stop it, at any point.
  const abandon = () => connection.terminate(disposedError())
  signal?.addEventListener('abort', abandon, { once: true })
  try {
    return await connection.call(async (worker) => {
      const events = (await worker.load(request)).getReader()
      for (;;) {
        const { done, value } = await events.read()
        if (done) throw new RivuletError('worker-failed', 'Loading stopped without saying why.')
        if (value.kind === 'ready') return value.info
        onProgress?.(value.progress)
      }
    })
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', abandon)
  }
}

/** How long a busy worker has to free the GPU by itself before it is ended. */
const unloadTimeoutMs = 1000

function createLoadedEngine(connection: WorkerConnection, info: ModelInfo): Engine {
  const disposing = new AbortController()
  let disposed: Promise<void> | undefined
  async function dispose(): Promise<void> {
    disposing.abort()
    const timeout = new Promise((resolve) => setTimeout(resolve, unloadTimeoutMs))
    // The worker ends in any case; asking it first lets the runtime give the GPU its memory back.
    await Promise.race([connection.call((worker) => worker.unload()).catch(() => {}), timeout])
    connection.terminate(disposedError())
  }
  const disposeOnce = () => (disposed ??= dispose())
  return {
    info,
    generate(prompt, options) {
      const request = checkRequest(prompt, options)
      if (disposed) throw disposedError()
      return new TokenStream({
        open: () => connection.call((worker) => worker.generate(request)),
        signal: options?.signal,
        disposed: disposing.signal,
        closed: connection.closed,
      })
    },
    dispose: disposeOnce,
    [Symbol.asyncDispose]: disposeOnce,
  }
}

function disposedError(): RivuletError {
  return new RivuletError('engine-disposed', 'The engine was disposed. Create a new one with createEngine().')
}
