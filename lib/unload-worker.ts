import type { Connection } from './connect-worker.js'
import type { RivuletError } from './contract/errors.js'

/** How long a busy worker may take to free the GPU before it is terminated. */
const unloadTimeoutMs = 1000

/** Ends a worker. It is terminated in any case; asking it to unload first lets the runtime return the GPU's memory. */
export async function unloadWorker({ call, terminate }: Connection, reason: RivuletError): Promise<void> {
  const timeout = new Promise((resolve) => setTimeout(resolve, unloadTimeoutMs))
  await Promise.race([call((worker) => worker.unload()).catch(() => {}), timeout])
  terminate(reason)
}
