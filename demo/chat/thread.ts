import { batch, signal, type ReadonlySignal } from '@preact/signals'
import type { Engine } from 'rivulet'
import {
  createChat,
  type Answer,
  type ChatSampling,
  type ChatSnapshot,
  type ChatStatus,
  type ChatTool,
  type ChatTurn,
  type ToolRound,
} from 'rivulet/chat'
import { createAutosave } from '../conversations/autosave.js'
import type { Conversation, ConversationStore } from '../conversations/conversation-store.js'
import { composeTitle } from '../conversations/title.js'
import { chooseBranch, listVersions, readPath, recordTurns } from './branches.js'
import type { WrittenAnswer } from './reasoning.js'

/** System prompt, options and tools for the next answer. */
interface Instructions {
  readonly system: string | undefined
  readonly sampling: ChatSampling
  readonly tools: readonly ChatTool[]
}

/** One turn of the shown branch. While it streams, its current content is the thread's `written`. */
export interface ShownTurn {
  readonly turn: ChatTurn
  /** Whether the page was closed while this turn was streaming. */
  readonly isCut: boolean
  /** The ids of all versions of this turn, oldest first. */
  readonly versions: readonly string[]
}

export interface ThreadOptions {
  readonly conversation: Conversation
  readonly store: ConversationStore
  readonly engine: Promise<Engine>
  readonly readInstructions: () => Instructions
  /** Called when an answer starts or continues, with a promise that resolves when it ends. */
  readonly onAnswer: (ending: Promise<Answer>) => void
  /** Called when the conversation cannot be saved, for example because the storage is full. */
  readonly onSaveError: (error: unknown) => void
}

/** An open conversation: its branches, and the chat that extends the shown branch. */
export interface Thread {
  readonly id: string
  readonly turns: ReadonlySignal<readonly ShownTurn[]>
  /** The content of the streaming answer. */
  readonly written: WrittenAnswer
  readonly status: ReadonlySignal<ChatStatus>
  /** How many of the first turns are no longer sent to the model. */
  readonly forgottenTurns: ReadonlySignal<number>
  /** @throws RivuletError `invalid-option` */
  send(text: string): Promise<void>
  /** Sends `text` instead of the question `id`, in a new branch. Otherwise like `send()`. */
  edit(id: string, text: string): Promise<void>
  /** Generates the answer `id` again, in a new branch. Otherwise like `send()`. */
  regenerate(id: string): Promise<void>
  /** Continues the last answer, which is a text, after its existing text. Otherwise like `send()`. */
  continue(): Promise<void>
  stop(): Promise<void>
  /** Computes the conversation ahead of the next question, if the engine can. An answer interrupts it. */
  prepare(): Promise<void>
  /** Shows another version of a turn, and the branch below it that was shown last. */
  showVersion(id: string): Promise<void>
  setEngine(engine: Promise<Engine>): void
  /** Stops the answer and saves the conversation. */
  close(): Promise<void>
  /** Stops the answer; saves nothing from now on. */
  discard(): void
}

export function createThread(options: ThreadOptions): Thread {
  const { conversation, store, readInstructions, onAnswer, onSaveError } = options
  const { id, createdAt, branches } = conversation
  const turns = signal<readonly ShownTurn[]>(readShownTurns())
  const written = {
    text: signal(''),
    reasoning: signal(''),
    rounds: signal<readonly ToolRound[]>([]),
    value: signal<unknown>(undefined),
  }
  const status = signal<ChatStatus>({ kind: 'loading' })
  const forgottenTurns = signal(0)
  let { updatedAt } = conversation
  let isDiscarded = false
  let messages: readonly ChatTurn[] = []
  const chat = createChat({
    engine: options.engine,
    messages: readPath(branches).map(({ turn }) => turn),
  })
  const unsubscribe = chat.subscribe(applySnapshot)

  const autosave = createAutosave(async () => {
    if (!isDiscarded) await store.write({ id, createdAt, updatedAt, branches }).catch(onSaveError)
  })

  function readShownTurns(): readonly ShownTurn[] {
    return readPath(branches).map(({ turn, isCut }) => ({
      turn,
      isCut,
      versions: listVersions(branches, turn.id),
    }))
  }

  function applySnapshot(snapshot: ChatSnapshot): void {
    const hasOnlyGrown = differOnlyInContent(messages, snapshot.messages)
    messages = snapshot.messages
    recordTurns(branches, messages)
    const wasAnswering = status.peek().kind === 'answering'
    batch(() => {
      status.value = snapshot.status
      forgottenTurns.value = snapshot.forgottenMessages
      const last = messages.at(-1)
      const shown = last?.role === 'assistant' ? last : undefined
      written.text.value = shown?.text ?? ''
      written.reasoning.value = shown?.reasoning ?? ''
      written.rounds.value = shown?.rounds ?? []
      written.value.value = shown?.value
      if (!hasOnlyGrown) turns.value = readShownTurns()
    })
    if (wasAnswering || snapshot.status.kind === 'answering') touch()
  }

  function touch(): void {
    updatedAt = Date.now()
    autosave.touch()
  }

  /** Stops the current answer, then starts the next one with `ask` and the current instructions. */
  async function answer(ask: (sampling: ChatSampling) => Promise<Answer>): Promise<void> {
    await chat.stop()
    const isFirst = branches.nodes.size === 0
    const { sampling, ...instructions } = readInstructions()
    chat.setOptions(instructions)
    const ending = ask(sampling)
    onAnswer(ending)
    if (isFirst) await store.setTitle(id, composeTitle(chat.getSnapshot().messages[0]!.text))
  }

  return {
    id,
    turns,
    written,
    status,
    forgottenTurns,
    send: (text) => answer((sampling) => chat.send(text, sampling)),
    edit: (questionId, text) => answer((sampling) => chat.resend(questionId, text, sampling)),
    regenerate: (answerId) =>
      answer((sampling) => {
        const { messages: shown } = chat.getSnapshot()
        const index = shown.findIndex((turn) => turn.id === answerId)
        if (index < shown.length - 1) chat.setMessages(shown.slice(0, index))
        return chat.regenerate(sampling)
      }),
    continue: () => answer((sampling) => chat.continue({ ...sampling, responseFormat: undefined })),
    stop: () => chat.stop(),
    async prepare() {
      if (status.peek().kind === 'answering') return
      const { sampling, ...instructions } = readInstructions()
      try {
        chat.setOptions({ ...instructions, sampling })
      } catch {
        // The next answer reports invalid options.
        return
      }
      await chat.prepare()
    },
    async showVersion(version) {
      await chat.stop()
      applySnapshot(chat.getSnapshot())
      chooseBranch(branches, version)
      // At once: a snapshot of the earlier messages, such as one for a loaded engine, would choose their branch again.
      chat.setMessages(readPath(branches).map(({ turn }) => turn))
      autosave.touch()
      await autosave.flush()
    },
    setEngine: chat.setEngine,
    async close() {
      await chat.stop()
      applySnapshot(chat.getSnapshot())
      unsubscribe()
      await autosave.close()
    },
    discard() {
      isDiscarded = true
      unsubscribe()
      void chat.stop()
      void autosave.close()
    },
  }
}

/** Whether only the content of the streaming answer has changed. */
function differOnlyInContent(before: readonly ChatTurn[], after: readonly ChatTurn[]): boolean {
  const [last, newLast] = [before.at(-1), after.at(-1)]
  return (
    before.length === after.length && last?.id === newLast?.id && isStreaming(last) && isStreaming(newLast)
  )
}

function isStreaming(turn: ChatTurn | undefined): boolean {
  return turn?.role === 'assistant' && turn.state.kind === 'streaming'
}
