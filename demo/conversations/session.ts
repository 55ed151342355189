import { signal, type ReadonlySignal } from '@preact/signals'
import type { Engine } from 'rivulet'
import { tabTexts } from '../app/stored.js'
import { createBranches } from '../chat/branches.js'
import { createThread, type Thread, type ThreadOptions } from '../chat/thread.js'
import type { Conversation, ConversationStore, ConversationSummary } from './conversation-store.js'

/** All conversations and the one that is open in this tab. */
export interface Session {
  readonly thread: ReadonlySignal<Thread>
  readonly conversations: ReadonlySignal<readonly ConversationSummary[]>
  startNew(): void
  /** Opens a conversation and shows the branch that was shown last. */
  open(id: string): Promise<void>
  rename(id: string, title: string): Promise<void>
  /** @returns a function that restores the conversation */
  remove(id: string): Promise<() => Promise<void>>
  setEngine(engine: Promise<Engine>): void
}

/** In session storage: each tab has its own open conversation. */
const openKey = 'rivulet-demo-open'

/** Opens the session with the conversation that this tab had open before it was reloaded. */
export async function openSession(
  store: ConversationStore,
  options: Omit<ThreadOptions, 'conversation' | 'store'>,
): Promise<Session> {
  let { engine } = options
  const conversations = signal(await store.list())
  const thread = signal(createFrom((await readOpen(store)) ?? createConversation()))
  store.watch(() => void store.list().then((listed) => (conversations.value = listed)))

  function createFrom(conversation: Conversation): Thread {
    return createThread({ ...options, engine, store, conversation })
  }

  function show(conversation: Conversation): void {
    void thread.peek().close()
    thread.value = createFrom(conversation)
    tabTexts.write(openKey, conversation.id)
  }

  const session: Session = {
    thread,
    conversations,
    startNew: () => show(createConversation()),
    async open(id) {
      if (id === thread.peek().id) return
      const conversation = await store.read(id)
      if (conversation) show(conversation)
    },
    rename: store.setTitle,
    async remove(id) {
      const isOpen = thread.peek().id === id
      const title = conversations.peek().find((summary) => summary.id === id)?.title ?? ''
      if (isOpen) {
        await thread.peek().close()
        thread.peek().discard()
      }
      const removed = await store.read(id)
      await store.remove(id)
      if (isOpen) session.startNew()
      return async () => {
        if (!removed) return
        await store.setTitle(id, title)
        await store.write(removed)
        if (isOpen) await session.open(id)
      }
    },
    setEngine(next) {
      engine = next
      thread.peek().setEngine(next)
    },
  }
  tabTexts.write(openKey, thread.peek().id)
  return session
}

async function readOpen(store: ConversationStore): Promise<Conversation | undefined> {
  const id = tabTexts.read(openKey)
  return id === undefined ? undefined : store.read(id)
}

function createConversation(): Conversation {
  const now = Date.now()
  return { id: createId(), createdAt: now, updatedAt: now, branches: createBranches() }
}

/** `crypto.randomUUID` does not exist on insecure pages. */
function createId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
