import type { EngineOptions } from './engine-options.js'
import type { engineScript } from './engine-script.js'
import type { recordGenerations } from './generation-record.js'
import { importScript } from './import-script.js'

/** What `createEngine` has to wait for before it can talk to a worker. */
export type EngineScript = typeof engineScript & {
  readonly recordGeneration: ReturnType<typeof recordGenerations> | undefined
}

/** Fetches it at once; all that an engine will ever need, also when it has to load its model again. */
export function importEngineScript(onGeneration: EngineOptions['onGeneration']): Promise<EngineScript> {
  return importScript(async () => {
    const [{ engineScript }, recordGeneration] = await Promise.all([
      import('./engine-script.js'),
      onGeneration &&
        import('./generation-record.js').then(({ recordGenerations }) => recordGenerations(onGeneration)),
    ])
    return { ...engineScript, recordGeneration }
  })
}
