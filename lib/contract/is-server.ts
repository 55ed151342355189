/**
 * Returns true if this code runs neither in a page nor in a worker: on a server that renders pages. Modules that create a
 * backend are also imported there.
 */
export function isServer(): boolean {
  return !['document', 'DedicatedWorkerGlobalScope', 'SharedWorkerGlobalScope'].some(
    (name) => name in globalThis,
  )
}

/** Why nothing can run on a server. */
export const serverReason = 'This is a server. Models run in a browser.'
