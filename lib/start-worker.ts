import type { BackendAvailability, BackendFactory } from './backend-factory.js'
import { connectWorker, type WorkerConnection } from './connect-worker.js'
import { RivuletError, describeError } from './contract/errors.js'
import type { DownloadRequest } from './contract/download-options.js'
import type { ModelLocation } from './contract/model-source.js'
import type { LoadProgress, LoadRequest, ModelInfo } from './contract/worker-api.js'

/** A backend with the model that it is to load. */
export interface Candidate {
  readonly backend: BackendFactory
  readonly model: ModelLocation
}

/** What to load, and with what. */
export interface LoadPlan {
  /** In order of preference. */
  readonly candidates: readonly Candidate[]
  readonly download: DownloadRequest
  /** Ask the browser to keep what is downloaded. */
  readonly persist: boolean
  readonly onProgress: ((progress: LoadProgress) => void) | undefined
}

/** A worker whose model is loaded. */
export interface LoadedWorker {
  readonly connection: WorkerConnection
  readonly info: ModelInfo
  readonly candidate: Candidate
  /** Those that came before it in the list, and why they were not taken. */
  readonly skipped: readonly SkippedBackend[]
}

export interface SkippedBackend {
  readonly name: string
  readonly reason: string
}

/**
 * Loads a model into a new worker of the first backend that can run here and load it.
 * @param lost those that are not to be tried
 * @throws RivuletError as `createEngine`, or the reason of `signal`
 */
export async function startWorker(
  plan: LoadPlan,
  lost: ReadonlySet<Candidate>,
  signal: AbortSignal | undefined,
): Promise<LoadedWorker> {
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
      return { ...(await loadCandidate(candidate, plan, signal)), candidate, skipped }
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
    skipped.length === 0 ? 'No backend was given.' : `No backend can run here. ${reasons.join(' ')}`,
    failure === undefined ? {} : { cause: failure },
  )
}

interface Ranked {
  readonly candidate: Candidate
  readonly availability: BackendAvailability
}

/** In the list's order; but local backends that would be slow here come behind the local ones that would not. */
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
  const isLocal = ({ candidate }: Ranked) => candidate.model.kind !== 'none'
  const local = all.filter(isLocal).toSorted((a, b) => Number(isSlow(a)) - Number(isSlow(b)))
  return all.map((each) => (isLocal(each) ? local.shift()! : each))
}

async function loadCandidate(
  { backend, model }: Candidate,
  { download, persist, onProgress }: LoadPlan,
  signal: AbortSignal | undefined,
): Promise<{ readonly connection: WorkerConnection; readonly info: ModelInfo }> {
  const isFetched = model.kind === 'folder' || model.kind === 'hub'
  if (isFetched && persist) requestPersistence()
  const connection = connectWorker(backend.createWorker())
  try {
    const request = { model, download, options: backend.options, lifeLock: nameLifeLock() }
    return { connection, info: await load(connection, request, onProgress, signal) }
  } catch (error) {
    connection.terminate(abandonedError())
    throw error
  }
}

/** Only a page can ask. What is answered changes nothing here: it is the browser's, and some ask the visitor. */
function requestPersistence(): void {
  navigator.storage?.persist?.().catch(() => {})
}

async function load(
  connection: WorkerConnection,
  request: LoadRequest,
  onProgress: LoadPlan['onProgress'],
  signal: AbortSignal | undefined,
): Promise<ModelInfo> {
  // Ending the worker is the one way to stop a load that is certain to stop it, at any point.
  const abandon = () => connection.terminate(abandonedError())
  signal?.addEventListener('abort', abandon, { once: true })
  try {
    return await connection.call(async (worker) => {
      const events = (await worker.load(request)).getReader()
      for (let isFirst = true; ; isFirst = false) {
        const { done, value } = await events.read()
        // What was on its way when loading was given up.
        signal?.throwIfAborted()
        if (done) throw new RivuletError('worker-failed', 'Loading stopped without saying why.')
        // Who tells of the load holds the lock.
        if (isFirst) connection.watchLifeLock(request.lifeLock)
        if (value.kind === 'ready') {
          // All that comes now is word that the model is lost.
          events.read().catch(connection.terminate)
          return value.info
        }
        onProgress?.(value.progress)
      }
    })
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', abandon)
  }
}

/** `crypto.randomUUID` is for secure pages alone. */
function nameLifeLock(): string {
  return `rivulet ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
}

function abandonedError(): RivuletError {
  return new RivuletError('engine-disposed', 'Loading was given up.')
}
