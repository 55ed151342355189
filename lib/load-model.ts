import { connectWorker, type WorkerConnection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { LoadProgress, LoadRequest, ModelInfo } from './contract/worker-api.js'
import type { OpenedWorker } from './open-worker.js'

/** Loads a model into a worker. */
export async function loadModel(
  opened: OpenedWorker,
  request: LoadRequest,
  onProgress: ((progress: LoadProgress) => void) | undefined,
): Promise<{ readonly connection: WorkerConnection; readonly info: ModelInfo }> {
  const connection = connectWorker(opened)
  const info = await connection.call(async (worker) => {
    const events = (await worker.load(request)).getReader()
    for (let isFirst = true; ; isFirst = false) {
      const { done, value } = await events.read()
      // What was on its way when loading was given up.
      opened.closed.throwIfAborted()
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
  return { connection, info }
}
