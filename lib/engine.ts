import type { BackendFactory } from './backend-factory.js'
import { checkDownloadOptions } from './contract/download-options.js'
import { RivuletError } from './contract/errors.js'
import { locateModel } from './contract/model-source.js'
import type { GenerateOptions, Prompt } from './contract/options.js'
import type { ModelInfo } from './contract/worker-api.js'
import { checkEngineOptions, type EngineOptions } from './engine-options.js'
import { importEngineScript } from './import-engine-script.js'
import { startWorker, type Candidate, type SkippedBackend } from './start-worker.js'
import type { TokenStream } from './token-stream.js'

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
 *   `memory-exceeded`, `script-failed`, `worker-failed`; `backend-unavailable` where several were given, with the reasons
 *   of all; or the reason of `signal`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  checkEngineOptions(options)
  const { download = {}, onProgress, signal, recover = true, onRecovery, onGeneration } = options
  const request = checkDownloadOptions(download)
  refuseServer()
  const candidates = await locateModels(options)
  signal?.throwIfAborted()
  const script = importEngineScript(onGeneration)
  const plan = { candidates, download: request, persist: download.persist ?? true, onProgress, script }
  const start = startWorker.bind(undefined, plan)
  const first = await start(new Set(), signal).catch((error: unknown) => {
    // Where the script itself is missing, there is nothing that could tell.
    script.then(({ observeFailedLoad }) => observeFailedLoad(error)).catch(() => {})
    throw error
  })
  const { createLoadedEngine, recordGeneration } = await script
  return createLoadedEngine(first, recover ? { candidates, start, onRecovery } : undefined, recordGeneration)
}

function refuseServer(): void {
  if (typeof document !== 'undefined') return
  throw new RivuletError(
    'backend-unavailable',
    'createEngine() needs a page: call it in a browser, not on a server.',
  )
}

const noModel = { kind: 'none' } as const

function locateModels({ backend, model, download }: EngineOptions): Promise<readonly Candidate[]> {
  const place = { base: document.baseURI, hubUrl: download?.hubUrl && String(download.hubUrl) }
  const locate = async (candidate: BackendFactory): Promise<Candidate> => {
    const own = candidate.model ?? model
    const located = own === undefined || own === 'named' ? noModel : await locateModel(own, place)
    return { backend: candidate, model: located }
  }
  return Promise.all([backend].flat().map(locate))
}
