import type { WorkerConnection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { LoadProgress, LoadRequest, WorkerModelInfo } from './contract/worker-api.js'

/** Loads a model into a worker. If the model is lost later, the worker is terminated. */
export function loadModel(
  connection: WorkerConnection,
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
): Promise<WorkerModelInfo> {
  return connection.call(async (worker) => {
    const events = (await worker.load(request)).getReader()
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await events.read()
      // An event can arrive after the load was aborted.
      connection.closed.throwIfAborted()
      if (done)
        throw new RivuletError(
          'worker-failed',
          'The worker stopped while the model was loading, without giving a reason. Call createEngine() again.',
        )
      // A worker that reports progress already holds its life lock.
      if (isFirst) connection.watchLifeLock(request.lifeLock)
      if (value.kind === 'ready') {
        // After `ready`, the stream can only fail: the model was lost.
        events.read().catch(connection.terminate)
        return value.info
      }
      onProgress(value.progress)
    }
  })
}
