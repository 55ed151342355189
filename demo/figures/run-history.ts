import { signal, type ReadonlySignal } from '@preact/signals'
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Run } from './run.js'

/** When there are more runs, the oldest ones are deleted. */
export const maxRuns = 200

interface RunsSchema extends DBSchema {
  runs: { key: string; value: Run; indexes: { startedAt: number } }
}

/** The runs stored in this browser, newest first. If storage is disabled, only the runs of this page. */
export interface RunHistory {
  readonly runs: ReadonlySignal<readonly Run[]>
  /** Resolves when the run is stored, or at once if storage is disabled. */
  add(run: Run): Promise<void>
  clear(): Promise<void>
}

/** Opens the history. Stored runs are loaded asynchronously. */
export function openRunHistory(databaseName = 'rivulet-demo-runs'): RunHistory {
  const runs = signal<readonly Run[]>([])
  const database = openDatabase(databaseName)
  const merge = (added: readonly Run[]) => {
    const known = new Set(runs.value.map(({ id }) => id))
    runs.value = [...runs.value, ...added.filter(({ id }) => !known.has(id))]
      .toSorted((a, b) => b.startedAt - a.startedAt)
      .slice(0, maxRuns)
  }
  const loaded = database.then(async (opened) => opened && merge(await opened.getAll('runs')))

  return {
    runs,
    async add(run) {
      merge([run])
      const opened = await database
      if (opened) await storeRun(opened, run)
    },
    async clear() {
      await loaded
      runs.value = []
      await (await database)?.clear('runs')
    },
  }
}

async function openDatabase(name: string): Promise<IDBPDatabase<RunsSchema> | undefined> {
  try {
    return await openDB<RunsSchema>(name, 1, {
      upgrade: (database) =>
        void database.createObjectStore('runs', { keyPath: 'id' }).createIndex('startedAt', 'startedAt'),
    })
  } catch {
    // Storage is disabled, for example in private windows of some browsers.
    return undefined
  }
}

/** Stores a run and deletes the oldest ones. Counts in the database, because other tabs add runs too. */
async function storeRun(database: IDBPDatabase<RunsSchema>, run: Run): Promise<void> {
  const { store, done } = database.transaction('runs', 'readwrite')
  await store.put(run)
  let surplus = (await store.count()) - maxRuns
  let oldest = await store.index('startedAt').openCursor()
  for (; oldest && surplus > 0; surplus -= 1) {
    await oldest.delete()
    oldest = await oldest.continue()
  }
  await done
}
