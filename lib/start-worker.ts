import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { connectWorker, type Connection, type WorkerConnection } from './connect-worker.js'
import { RivuletError, asRivuletError, describeError } from './contract/errors.js'
import { isDeviceLost } from './contract/is-device-lost.js'
import type { DownloadRequest } from './contract/download-request.js'
import type { ModelLocation } from './contract/model-location.js'
import type { LoadProgress, ModelInfo, WorkerModelInfo } from './contract/worker-api.js'
import { loadModel } from './load-model.js'
import { waitForGpu } from './wait-for-gpu.js'
import { watchLoad, type LoadWatch } from './watch-progress.js'

/** A backend and the model that it loads. */
export interface Candidate {
  readonly backend: BackendFactory
  readonly model: ModelLocation
}

/** Which models to load, and how to load them. */
export interface LoadPlan {
  /** The backends with their models, in order of preference. */
  readonly candidates: readonly Candidate[]
  readonly download: DownloadRequest
  /** True if the browser is asked to keep the downloaded files. */
  readonly persist: boolean
  readonly onProgress: ((progress: LoadProgress) => void) | undefined
  /**
   * Called before a model is loaded again because the GPU was lost during its load, or the worker stopped answering; undefined if
   * it is not loaded again.
   * @param reason the error `device-lost` or `worker-failed`
   */
  readonly onReload: ((reason: RivuletError) => void) | undefined
  /** How long a worker may compute without progress, or load without an answer, in milliseconds. */
  readonly silenceTimeoutMs: number
}

/** A worker with a loaded model. */
export interface LoadedWorker {
  readonly connection: Connection
  readonly info: ModelInfo
  readonly candidate: Candidate
  /** The candidates that were tried before this one, and why they are not used. */
  readonly skipped: readonly SkippedBackend[]
  readonly silenceTimeoutMs: number
}

/** A worker with a loaded model, which this page has started. */
export interface StartedWorker extends LoadedWorker {
  readonly connection: WorkerConnection
  /** The name of the Web Lock that the worker holds until it ends. */
  readonly workerLock: string
}

/** A backend of the list that is not used, and why. */
export interface SkippedBackend {
  readonly name: string
  readonly reason: string
}

/**
 * Starts a new worker and loads a model into it. Uses the first backend that can run here and load its model.
 * @param lost candidates that were lost before. They are not tried
 * @throws the same `RivuletError`s as `createEngine`, or the reason of `signal`
 */
export async function startWorker(
  plan: LoadPlan,
  lost: ReadonlySet<Candidate>,
  signal: AbortSignal | undefined,
): Promise<StartedWorker> {
  signal?.throwIfAborted()
  const skipped: SkippedBackend[] = []
  let failure: unknown
  for (const { candidate, availability } of await rankCandidates(plan.candidates, lost)) {
    const { name } = candidate.backend
    signal?.throwIfAborted()
    if (!availability.isAvailable) {
      skipped.push({ name, reason: availability.reason })
      continue
    }
    try {
      const { info, ...loaded } = await loadCandidate(candidate, plan, signal)
      const { silenceTimeoutMs } = plan
      return { ...loaded, info: { ...info, host: 'tab' }, candidate, skipped, silenceTimeoutMs }
    } catch (error) {
      signal?.throwIfAborted()
      failure = error
      skipped.push({ name, reason: describeError(error) })
    }
  }
  if (skipped.length === 1 && failure) throw failure
  const reasons = skipped.map(({ name, reason }) => `${name}: ${reason}`)
  throw new RivuletError(
    'backend-unavailable',
    skipped.length === 0
      ? 'The list of backends is empty. Pass at least one.'
      : `No backend can run here. ${reasons.join(' ')}`,
    failure === undefined ? {} : { cause: failure },
  )
}

interface Ranked {
  readonly candidate: Candidate
  readonly availability: BackendAvailability
}

/** Returns the candidates in the list's order, except that slow local backends come after the other local backends. */
async function rankCandidates(
  candidates: readonly Candidate[],
  lost: ReadonlySet<Candidate>,
): Promise<readonly Ranked[]> {
  const all = await Promise.all(
    candidates
      .filter((candidate) => !lost.has(candidate))
      .map(async (candidate) => ({ candidate, availability: await candidate.backend.checkAvailability() })),
  )
  const isSlow = ({ availability }: Ranked) => availability.isAvailable && availability.isSlow === true
  const isLocal = ({ candidate }: Ranked) => candidate.backend.isServer !== true
  const local = all.filter(isLocal).toSorted((a, b) => Number(isSlow(a)) - Number(isSlow(b)))
  return all.map((each) => (isLocal(each) ? local.shift()! : each))
}

interface LoadedConnection {
  readonly connection: WorkerConnection
  readonly workerLock: string
  readonly info: WorkerModelInfo
}

function loadCandidate(
  candidate: Candidate,
  plan: LoadPlan,
  signal: AbortSignal | undefined,
): Promise<LoadedConnection> {
  const { kind } = candidate.model
  const isFetched = kind === 'folder' || kind === 'hub'
  if (isFetched && plan.persist) requestPersistence()
  return loadInWorker(candidate, plan, signal)
}

/** How often a load starts again because the GPU was lost, or the worker stopped answering. */
const maxReloads = 2

/**
 * Starts a worker and loads the model into it. Starts again if the GPU is lost meanwhile, or the worker stops answering. A
 * script that cannot be loaded is requested twice: in an isolated page with a service worker, WebKitGTK 2.50 refuses every second worker with the same script
 * if the server's responses with status 304 lack the page's embedder policy.
 */
async function loadInWorker(
  candidate: Candidate,
  plan: LoadPlan,
  signal: AbortSignal | undefined,
): Promise<LoadedConnection> {
  let losses = 0
  for (let isScriptRetry = false; ;) {
    const connection = connectWorker(candidate.backend.createWorker())
    const watch = watchLoad(connection, plan.silenceTimeoutMs)
    try {
      return await loadOnce(connection, candidate, plan, { losses, watch }, signal)
    } catch (error) {
      const isLost = isDeviceLost(error)
      if ((isLost || watch.isSilent) && plan.onReload && losses < maxReloads) {
        losses += 1
        plan.onReload(asRivuletError(error, 'worker-failed', 'The worker did not answer'))
        if (isLost) await waitForGpu(signal)
      } else if (isScriptRetry || !connection.isScriptMissing()) throw error
      else isScriptRetry = true
      signal?.throwIfAborted()
    } finally {
      watch.leave()
    }
  }
}

/** Loads the model into a worker. If that fails, terminates the worker. */
async function loadOnce(
  connection: WorkerConnection,
  { backend, model }: Candidate,
  { download, onProgress }: LoadPlan,
  { losses, watch }: { readonly losses: number; readonly watch: LoadWatch },
  signal: AbortSignal | undefined,
): Promise<LoadedConnection> {
  // Only terminating the worker stops a load reliably at any point.
  const abort = () => connection.terminate(abortedError())
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const workerLock = nameLifeLock()
    const request = { model, download, options: backend.options, lifeLock: workerLock, losses }
    const report = (progress: LoadProgress) => {
      watch.setTotalBytes(progress.totalBytes)
      onProgress?.(progress)
    }
    return { connection, workerLock, info: await loadModel(connection, request, report) }
  } catch (error) {
    abort()
    if (signal?.aborted) throw signal.reason
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** Asks the browser to keep the files. Only a page can ask; some browsers ask the user. A refusal changes nothing here. */
function requestPersistence(): void {
  navigator.storage?.persist?.().catch(() => {})
}

/** Returns a unique name for a life lock. `crypto.randomUUID` is not used, because it exists only on secure pages. */
export function nameLifeLock(): string {
  return `rivulet ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
}

function abortedError(): RivuletError {
  return new RivuletError('engine-disposed', 'Loading was aborted.')
}
