import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { createBranches, settleBranches, type Branches } from '../chat/branches.js'

export interface Conversation {
  readonly id: string
  /** In milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  readonly branches: Branches
}

/** A conversation's entry in the list. */
export interface ConversationSummary extends Omit<Conversation, 'branches'> {
  readonly title: string
}

/** The conversations of this browser, shared by all its tabs. If two tabs write the same conversation, the last write wins. */
export interface ConversationStore {
  /** Whether the browser saves conversations beyond the lifetime of the page. */
  readonly isPersistent: boolean
  /** Most recently changed first. */
  list(): Promise<readonly ConversationSummary[]>
  /** Resolves to undefined if the conversation does not exist. */
  read(id: string): Promise<Conversation | undefined>
  /** Does not change the title. */
  write(conversation: Conversation): Promise<void>
  setTitle(id: string, title: string): Promise<void>
  remove(id: string): Promise<void>
  /** Calls `listener` after every change, also in another tab. */
  watch(listener: () => void): void
}

/** Titles have a separate object store, so that renaming in one tab does not overwrite turns that another tab writes. */
interface Schema extends DBSchema {
  summaries: { key: string; value: Omit<Conversation, 'branches'> }
  titles: { key: string; value: string }
  branches: { key: string; value: Branches }
}

const stores = ['summaries', 'titles', 'branches'] as const

/** Opens the store in IndexedDB, or in memory if the page cannot use IndexedDB. */
export async function openConversationStore(): Promise<ConversationStore> {
  try {
    const database = await openDB<Schema>('rivulet-demo', 1, {
      upgrade(fresh) {
        fresh.createObjectStore('summaries', { keyPath: 'id' })
        fresh.createObjectStore('titles')
        fresh.createObjectStore('branches')
      },
      // Another tab runs a newer version of this page: an open connection would block its upgrade.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    })
    return createDatabaseStore(database)
  } catch {
    return createMemoryStore()
  }
}

function createDatabaseStore(database: IDBPDatabase<Schema>): ConversationStore {
  const listeners: (() => void)[] = []
  const notify = () => listeners.forEach((listener) => listener())
  const otherTabs = new BroadcastChannel('rivulet-demo-conversations')
  otherTabs.addEventListener('message', notify)
  const broadcastChange = () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- BroadcastChannel's postMessage takes no origin
    otherTabs.postMessage('changed')
    notify()
  }
  // Relaxed: the write survives closing the page without waiting for the disk.
  const startWrite = () => database.transaction(stores, 'readwrite', { durability: 'relaxed' })
  return {
    isPersistent: true,
    async list() {
      const transaction = database.transaction(['summaries', 'titles'])
      const titles = transaction.objectStore('titles')
      const [summaries, ids, texts] = await Promise.all([
        transaction.objectStore('summaries').getAll(),
        titles.getAllKeys(),
        titles.getAll(),
      ])
      const byId = new Map(ids.map((id, index) => [id, texts[index]!]))
      return sortNewestFirst(summaries.map((summary) => addTitle(summary, byId)))
    },
    async read(id) {
      const transaction = database.transaction(['summaries', 'branches'])
      const [summary, branches] = await Promise.all([
        transaction.objectStore('summaries').get(id),
        transaction.objectStore('branches').get(id),
      ])
      return summary && { ...summary, branches: settle(branches ?? createBranches()) }
    },
    async write({ branches, ...summary }) {
      // All requests and the commit are issued synchronously: a page that is being closed may run no later task.
      const transaction = startWrite()
      void transaction.objectStore('summaries').put(summary)
      void transaction.objectStore('branches').put(branches, summary.id)
      transaction.commit()
      await transaction.done
      broadcastChange()
    },
    async setTitle(id, title) {
      await database.put('titles', title, id)
      broadcastChange()
    },
    async remove(id) {
      const transaction = startWrite()
      for (const name of stores) void transaction.objectStore(name).delete(id)
      await transaction.done
      broadcastChange()
    },
    watch: (listener) => listeners.push(listener),
  }
}

function createMemoryStore(): ConversationStore {
  const conversations = new Map<string, Conversation>()
  const titles = new Map<string, string>()
  const listeners: (() => void)[] = []
  const notify = () => listeners.forEach((listener) => listener())
  return {
    isPersistent: false,
    list: async () => sortNewestFirst([...conversations.values()].map((one) => addTitle(one, titles))),
    async read(id) {
      const conversation = structuredClone(conversations.get(id))
      return conversation && { ...conversation, branches: settle(conversation.branches) }
    },
    async write(conversation) {
      conversations.set(conversation.id, structuredClone(conversation))
      notify()
    },
    async setTitle(id, title) {
      titles.set(id, title)
      notify()
    },
    async remove(id) {
      conversations.delete(id)
      titles.delete(id)
      notify()
    },
    watch: (listener) => listeners.push(listener),
  }
}

function addTitle(
  { id, createdAt, updatedAt }: Omit<Conversation, 'branches'>,
  titles: ReadonlyMap<string, string>,
): ConversationSummary {
  return { id, createdAt, updatedAt, title: titles.get(id) ?? '' }
}

function settle(branches: Branches): Branches {
  settleBranches(branches)
  return branches
}

function sortNewestFirst(summaries: readonly ConversationSummary[]): readonly ConversationSummary[] {
  return summaries.toSorted((a, b) => b.updatedAt - a.updatedAt)
}
