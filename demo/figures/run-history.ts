import { signal, type ReadonlySignal } from '@preact/signals'
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Run } from './run.js'

/** Of which the newest stay. */
export const keptRuns = 200

interface RunsSchema extends DBSchema {
  runs: { key: string; value: Run; indexes: { startedAt: number } }
}

/** The runs that this browser remembers, newest first; with storage off, those of this page. */
export interface RunHistory {
  readonly runs: ReadonlySignal<readonly Run[]>
  /** Resolves when it is kept, where it can be. */
  add(run: Run): Promise<void>
  clear(): Promise<void>
}

/** Opens the history; what was kept is there a moment later. */
export function openRunHistory(databaseName = 'rivulet-demo-runs'): RunHistory {
  const runs = signal<readonly Run[]>([])
  const database = openDatabase(databaseName)
  const merge = (more: readonly Run[]) => {
    const known = new Set(runs.value.map(({ id }) => id))
    runs.value = [...runs.value, ...more.filter(({ id }) => !known.has(id))]
      .toSorted((a, b) => b.startedAt - a.startedAt)
      .slice(0, keptRuns)
  }
  const loaded = database.then(async (opened) => opened && merge(await opened.getAll('runs')))

  return {
    runs,
    async add(run) {
      merge([run])
      const opened = await database
      if (opened) await keep(opened, run)
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
    // Storage is off, as in private windows of some browsers.
    return undefined
  }
}

/** Another tab may have added runs too: what is too many is counted in the store. */
async function keep(database: IDBPDatabase<RunsSchema>, run: Run): Promise<void> {
  const { store, done } = database.transaction('runs', 'readwrite')
  await store.put(run)
  let surplus = (await store.count()) - keptRuns
  let oldest = await store.index('startedAt').openCursor()
  for (; oldest && surplus > 0; surplus -= 1) {
    await oldest.delete()
    oldest = await oldest.continue()
  }
  await done
}
