import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { createBranches, settleBranches, type Branches } from '../chat/branches.js'

export interface Conversation {
  readonly id: string
  /** In milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  readonly branches: Branches
}

/** What a list of conversations shows of one. */
export interface ConversationSummary extends Omit<Conversation, 'branches'> {
  readonly title: string
}

/** The conversations of this browser, the same in all of its tabs. Of two that write one conversation, the last one wins. */
export interface ConversationStore {
  /** Whether they outlive the page. */
  readonly isPersistent: boolean
  /** The one that was changed last comes first. */
  list(): Promise<readonly ConversationSummary[]>
  /** Undefined where it is gone. */
  read(id: string): Promise<Conversation | undefined>
  /** Its title stays, whoever gave it. */
  write(conversation: Conversation): Promise<void>
  setTitle(id: string, title: string): Promise<void>
  remove(id: string): Promise<void>
  /** Calls `listener` when something has changed, also in another tab. */
  watch(listener: () => void): void
}

/** Where they are kept: titles on their own, so that who renames one does not write over what is said in it. */
interface Schema extends DBSchema {
  summaries: { key: string; value: Omit<Conversation, 'branches'> }
  titles: { key: string; value: string }
  branches: { key: string; value: Branches }
}

const stores = ['summaries', 'titles', 'branches'] as const

/** Kept in IndexedDB, or in memory where the browser keeps nothing for this page. */
export async function openConversationStore(): Promise<ConversationStore> {
  try {
    const database = await openDB<Schema>('rivulet-demo', 1, {
      upgrade(fresh) {
        fresh.createObjectStore('summaries', { keyPath: 'id' })
        fresh.createObjectStore('titles')
        fresh.createObjectStore('branches')
      },
      // A newer page wants another version: this one must not be in its way.
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
  const announce = () => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A channel of this origin has none.
    otherTabs.postMessage('changed')
    notify()
  }
  // Relaxed: once the system has it, a page that closes does not lose it; nobody waits for the disk.
  const beginWrite = () => database.transaction(stores, 'readwrite', { durability: 'relaxed' })
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
      // All is asked for before this returns, the commit too: a page that is being closed gets no second turn.
      const transaction = beginWrite()
      void transaction.objectStore('summaries').put(summary)
      void transaction.objectStore('branches').put(branches, summary.id)
      transaction.commit()
      await transaction.done
      announce()
    },
    async setTitle(id, title) {
      await database.put('titles', title, id)
      announce()
    },
    async remove(id) {
      const transaction = beginWrite()
      for (const name of stores) void transaction.objectStore(name).delete(id)
      await transaction.done
      announce()
    },
    watch: (listener) => listeners.push(listener),
  }
}

function createMemoryStore(): ConversationStore {
  const kept = new Map<string, Conversation>()
  const titles = new Map<string, string>()
  const listeners: (() => void)[] = []
  const notify = () => listeners.forEach((listener) => listener())
  return {
    isPersistent: false,
    list: async () => sortNewestFirst([...kept.values()].map((one) => addTitle(one, titles))),
    async read(id) {
      const conversation = structuredClone(kept.get(id))
      return conversation && { ...conversation, branches: settle(conversation.branches) }
    },
    async write(conversation) {
      kept.set(conversation.id, structuredClone(conversation))
      notify()
    },
    async setTitle(id, title) {
      titles.set(id, title)
      notify()
    },
    async remove(id) {
      kept.delete(id)
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
