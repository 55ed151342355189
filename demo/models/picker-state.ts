import { computed, signal, type ReadonlySignal } from '@preact/signals'
import { store, type StoredModel } from 'rivulet'
import { defaultChoice } from '../model-choice.js'
import { describeAdded, readAdded, writeAdded, type AddedModel } from './added-models.js'
import { readCatalogue, type ModelEntry } from './catalogue.js'
import type { DeviceFacts } from './device-fit.js'
import { createDownloads, type Download } from './downloads.js'
import { formatSize } from './format-size.js'
import { forgetFiles, keepFiles, listKept, type KeptModel } from './kept-files.js'
import type { OwnModel } from './own-files.js'
import { readDevice } from './read-device.js'
import { askToPersist, readStorageUse, type StorageUse } from './storage-use.js'

/** What the picker knows and does; it outlives the dialog, as downloads do. */
export interface PickerState {
  /** The page's own, then the visitor's. */
  readonly entries: ReadonlySignal<readonly ModelEntry[]>
  readonly storage: ReadonlySignal<StorageUse | undefined>
  readonly device: ReadonlySignal<DeviceFacts | undefined>
  readonly kept: ReadonlySignal<readonly KeptModel[]>
  readonly downloads: ReadonlySignal<ReadonlyMap<string, Download>>
  /** What happened last, for those who do not see it. */
  readonly notice: ReadonlySignal<string>
  /** Reads everything, and what is stored once in a while, until the returned function is called. */
  watch(): () => void
  findStored(entry: ModelEntry): StoredModel | undefined
  download(entry: ModelEntry): Promise<void>
  pause(entry: ModelEntry): void
  /** Frees what is stored of it. */
  remove(name: string, source: string | URL): Promise<void>
  removeAll(): Promise<void>
  add(model: AddedModel): void
  /** Takes it from the list. */
  forgetAdded(entry: ModelEntry): void
  /** Keeps the way to the visitor's files, as far as the browser does. */
  keep(model: OwnModel): Promise<void>
  forgetKept(model: KeptModel): Promise<void>
  persist(): Promise<void>
}

const storagePollMs = 2000

export function createPickerState(): PickerState {
  const catalogue = signal<readonly ModelEntry[]>([])
  const added = signal(readAdded())
  const storage = signal<StorageUse>()
  const asked = signal<Omit<DeviceFacts, 'freeStorageBytes'>>()
  const kept = signal<readonly KeptModel[]>([])
  const notice = signal('')
  const device = computed(() => {
    if (!asked.value || !storage.value) return undefined
    const { quotaBytes, usedBytes } = storage.value
    const freeStorageBytes = quotaBytes === undefined ? undefined : Math.max(0, quotaBytes - usedBytes)
    return { ...asked.value, freeStorageBytes }
  })
  const entries = computed(() => [...catalogue.value, ...added.value.map(describeAdded)])
  const downloads = createDownloads((id, outcome) => {
    const name = entries.value.find((entry) => entry.id === id)?.name ?? 'The model'
    notice.value = `${name}: ${outcomes[outcome]}`
    void readStorage()
  })

  async function readStorage(): Promise<void> {
    storage.value = await readStorageUse()
  }

  async function readAll(): Promise<void> {
    const [read, found, facts] = await Promise.all([readCatalogue(), listKept(), readDevice(), readStorage()])
    catalogue.value = read
    kept.value = found
    asked.value = facts
  }

  function changeAdded(models: readonly AddedModel[]): void {
    added.value = models
    if (!writeAdded(models)) notice.value = 'This browser keeps no list: it is gone when the tab is closed.'
  }

  return {
    entries,
    storage,
    device,
    kept,
    notice,
    downloads: downloads.current,
    watch() {
      void readAll()
      // The chat and other tabs fetch models too.
      const timer = setInterval(readStorage, storagePollMs)
      return () => clearInterval(timer)
    },
    findStored({ source }) {
      if (source === undefined) return undefined
      const folder = locate(source)
      return storage.value?.models.find(({ model }) => model === folder)
    },
    download: ({ id, choice }) => downloads.start(id, { ...defaultChoice, ...choice }),
    pause: ({ id }) => downloads.pause(id),
    async remove(name, source) {
      await store.remove(source)
      notice.value = `${name}: removed.`
      await readStorage()
    },
    async removeAll() {
      const removed = await store.evict({ keepBytes: 0 })
      const bytes = removed.reduce((sum, { storedBytes }) => sum + storedBytes, 0)
      notice.value = `Removed ${formatSize(bytes)}.`
      await readStorage()
    },
    add(model) {
      const others = added.value.filter(
        (each) => each.model !== model.model || each.backend !== model.backend,
      )
      changeAdded([...others, model])
    },
    forgetAdded: ({ choice }) =>
      changeAdded(
        added.value.filter(({ model, backend }) => model !== choice.model || backend !== choice.backend),
      ),
    async keep(model) {
      if (await keepFiles(model)) kept.value = await listKept()
    },
    async forgetKept({ id }) {
      await forgetFiles(id)
      kept.value = await listKept()
    },
    async persist() {
      const isPersisted = await askToPersist()
      notice.value = isPersisted
        ? 'The browser keeps the models until you delete them.'
        : 'The browser does not promise it: it asks, or decides by how often you come here.'
      await readStorage()
    },
  }
}

const outcomes = {
  complete: 'downloaded.',
  paused: 'paused.',
  failed: 'the download failed.',
} as const

/** Undefined for what is no model's name or address: a download of it says so. */
function locate(source: string | URL): string | undefined {
  try {
    return store.locate(source)
  } catch {
    return undefined
  }
}
