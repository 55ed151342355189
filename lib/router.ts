import type { Recovery } from './keep-worker.js'
import type { OpenWorkers } from './loaded-engine.js'

/** Chooses a backend for each generation: what `routing()` of `rivulet/routing` returns. */
export interface Router {
  /**
   * Loads the backends.
   * @param how how workers are started and replaced
   * @param canRecover true if dead workers are replaced
   * @param signal aborts loading
   * @internal
   */
  open(how: Recovery, canRecover: boolean, signal: AbortSignal | undefined): Promise<OpenWorkers>
}
