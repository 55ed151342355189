import type { Connection } from './connect-worker.js'
import type { RivuletError } from './contract/errors.js'
import { settleWithin } from './contract/settle-within.js'

/** How long a busy worker may take to free the GPU before it is terminated. */
const unloadTimeoutMs = 1000

/** Ends a worker. It is terminated in any case; asking it to unload first lets the runtime return the GPU's memory. */
export async function unloadWorker({ call, terminate }: Connection, reason: RivuletError): Promise<void> {
  const unloaded = call((worker) => worker.unload()).catch(() => {})
  await settleWithin(unloaded, unloadTimeoutMs)
  terminate(reason)
}
