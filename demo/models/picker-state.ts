import { computed, signal, type ReadonlySignal } from '@preact/signals'
import { store, type StoredModel } from 'rivulet'
import { defaultChoice } from '../model-choice.js'
import { describeAdded, readAdded, writeAdded, type AddedModel } from './added-models.js'
import { readCatalogue, type ModelEntry } from './catalogue.js'
import type { DeviceFacts } from './device-fit.js'
import { createDownloads, type Download } from './downloads.js'
import { formatSize } from './format-size.js'
import { deleteSavedFiles, saveFiles, listSaved, type SavedModel } from './saved-files.js'
import type { LocalModel } from './local-files.js'
import { readDevice } from './read-device.js'
import { askToPersist, readStorageUse, type StorageUse } from './storage-use.js'

/** The picker's state and actions. It outlives the dialog, because downloads continue after the dialog closes. */
export interface PickerState {
  /** The catalogue, then the models that the user added. */
  readonly entries: ReadonlySignal<readonly ModelEntry[]>
  readonly storage: ReadonlySignal<StorageUse | undefined>
  readonly device: ReadonlySignal<DeviceFacts | undefined>
  readonly saved: ReadonlySignal<readonly SavedModel[]>
  readonly downloads: ReadonlySignal<ReadonlyMap<string, Download>>
  /** The last event, for screen readers. */
  readonly notice: ReadonlySignal<string>
  /** Reads everything once and the storage use repeatedly, until the returned function is called. */
  watch(): () => void
  findStored(entry: ModelEntry): StoredModel | undefined
  download(entry: ModelEntry): Promise<void>
  pause(entry: ModelEntry): void
  /** Deletes the model's downloaded files. */
  deleteModel(name: string, source: string | URL): Promise<void>
  deleteAll(): Promise<void>
  add(model: AddedModel): void
  /** Removes an added model from the list. */
  removeAdded(entry: ModelEntry): void
  /** Saves the handles of the user's files, if the browser supports it. */
  save(model: LocalModel): Promise<void>
  removeSaved(model: SavedModel): Promise<void>
  persist(): Promise<void>
}

const storagePollMs = 2000

export function createPickerState(): PickerState {
  const catalogue = signal<readonly ModelEntry[]>([])
  const added = signal(readAdded())
  const storage = signal<StorageUse>()
  const deviceInfo = signal<Omit<DeviceFacts, 'freeStorageBytes'>>()
  const saved = signal<readonly SavedModel[]>([])
  const notice = signal('')
  const device = computed(() => {
    if (!deviceInfo.value || !storage.value) return undefined
    const { quotaBytes, usedBytes } = storage.value
    const freeStorageBytes = quotaBytes === undefined ? undefined : Math.max(0, quotaBytes - usedBytes)
    return { ...deviceInfo.value, freeStorageBytes }
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
    const [read, found, facts] = await Promise.all([
      readCatalogue(),
      listSaved(),
      readDevice(),
      readStorage(),
    ])
    catalogue.value = read
    saved.value = found
    deviceInfo.value = facts
  }

  function changeAdded(models: readonly AddedModel[]): void {
    added.value = models
    if (!writeAdded(models))
      notice.value = 'This browser cannot save the list. It is lost when you close the tab.'
  }

  return {
    entries,
    storage,
    device,
    saved,
    notice,
    downloads: downloads.current,
    watch() {
      void readAll()
      // The chat and other tabs download models too.
      const timer = setInterval(readStorage, storagePollMs)
      return () => clearInterval(timer)
    },
    findStored({ source }) {
      if (source === undefined) return undefined
      const address = locate(source)
      const models = storage.value?.models ?? []
      // A hub's name without a file is a folder: the library chose one of its GGUF files.
      const isInFolder = (model: string) => address?.endsWith('/') === true && model.startsWith(address)
      return models.find(({ model }) => model === address) ?? models.find(({ model }) => isInFolder(model))
    },
    download: ({ id, choice }) => downloads.start(id, { ...defaultChoice, ...choice }),
    pause: ({ id }) => downloads.pause(id),
    async deleteModel(name, source) {
      await store.remove(source)
      notice.value = `${name}: deleted.`
      await readStorage()
    },
    async deleteAll() {
      const deleted = await store.evict({ keepBytes: 0 })
      const bytes = deleted.reduce((sum, { storedBytes }) => sum + storedBytes, 0)
      notice.value = `Deleted ${formatSize(bytes)}.`
      await readStorage()
    },
    add(model) {
      const others = added.value.filter(
        (each) => each.model !== model.model || each.backend !== model.backend,
      )
      changeAdded([...others, model])
    },
    removeAdded: ({ choice }) =>
      changeAdded(
        added.value.filter(({ model, backend }) => model !== choice.model || backend !== choice.backend),
      ),
    async save(model) {
      if (await saveFiles(model)) saved.value = await listSaved()
    },
    async removeSaved({ id }) {
      await deleteSavedFiles(id)
      saved.value = await listSaved()
    },
    async persist() {
      const isPersisted = await askToPersist()
      notice.value = isPersisted
        ? 'The browser now keeps the models until you delete them.'
        : 'The browser did not grant persistent storage. Some browsers grant it only to sites that you visit often.'
      await readStorage()
    },
  }
}

const outcomes = {
  complete: 'downloaded.',
  paused: 'paused.',
  failed: 'download failed.',
} as const

/** Returns undefined for an invalid model name or URL; downloading it reports the error. */
function locate(source: string | URL): string | undefined {
  try {
    return store.locate(source)
  } catch {
    return undefined
  }
}
