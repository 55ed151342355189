import type { BackendFactory } from './backend-factory.js'
import { connectWorker, type WorkerConnection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { DownloadRequest } from './contract/download-options.js'
import type { ModelLocation } from './contract/model-source.js'
import type { LoadProgress, LoadRequest, ModelInfo } from './contract/worker-api.js'
import type { LoadedWorker } from './keep-worker.js'

/** What to load, and with what. */
export interface LoadPlan {
  /** In order of preference. */
  readonly backends: readonly BackendFactory[]
  readonly model: ModelLocation
  readonly download: DownloadRequest
  readonly onProgress: ((progress: LoadProgress) => void) | undefined
}

/**
 * Loads a model into a new worker of the first backend that can run here.
 * @throws RivuletError as `createEngine`, or the reason of `signal`
 */
export async function startWorker(plan: LoadPlan, signal: AbortSignal | undefined): Promise<LoadedWorker> {
  signal?.throwIfAborted()
  const backend = await chooseBackend(plan.backends)
  signal?.throwIfAborted()
  const connection = connectWorker(backend.createWorker())
  try {
    const { download, onProgress } = plan
    const model = backend.hasOwnModel ? { kind: 'none' as const } : plan.model
    const request = { model, download, options: backend.options, lifeLock: nameLifeLock() }
    return { connection, info: await load(connection, request, onProgress, signal) }
  } catch (error) {
    connection.terminate(abandonedError())
    throw error
  }
}

async function chooseBackend(backends: readonly BackendFactory[]): Promise<BackendFactory> {
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
