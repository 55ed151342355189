import type {
  BrowserModelAnswer,
  BrowserModelLoad,
  BrowserModelOptions,
  BrowserModelPrompt,
  BrowserModelRequest,
} from '../contract/browser-model.js'
import { RivuletError } from '../contract/errors.js'
import type { RequestMessage } from '../contract/request.js'
import { sendStream } from '../contract/stream-transfer.js'
import { explainBrowserFailure } from './explain-failure.js'
import {
  findPlatformModel,
  nameLanguages,
  type PlatformLanguageModel,
  type PlatformMessage,
  type PlatformSession,
} from './platform.js'

/** How long the browser may take to create a session without any progress. Chrome's `create()` can hang for ever (crbug 382640509). */
const createTimeoutMs = 60_000

/** A session that continues a conversation. */
interface KeptSession {
  readonly session: PlatformSession
  /** All messages of the conversation, with the last answer. */
  readonly messages: readonly RequestMessage[]
}

/**
 * Runs the browser's model for a worker that asks over `port`.
 * @param timeoutMs how long `create()` may take without progress
 * @returns a function that ends all sessions
 */
export function serveBrowserModel(port: MessagePort, timeoutMs = createTimeoutMs): () => void {
  const stopping = new AbortController()
  let options: BrowserModelOptions = { languages: [] }
  /** Counts tokens, and keeps the model loaded. */
  let base: PlatformSession | undefined
  let kept: KeptSession | undefined

  function takeModel(): PlatformLanguageModel {
    const model = findPlatformModel()
    if (model) return model
    throw new RivuletError('backend-unavailable', 'This browser has no Prompt API (LanguageModel).')
  }

  /** Creates a session. Ends with `backend-unavailable` if the browser makes no progress. */
  async function createSession(
    initial: readonly RequestMessage[],
    signal: AbortSignal,
    onProgress: (fraction: number) => void = () => {},
  ): Promise<PlatformSession> {
    // A later abort of an answer must not end the session, so its signal is used only until the session exists.
    const aborting = new AbortController()
    const created = new AbortController()
    const abort = () => aborting.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { signal: created.signal })
    let timer: ReturnType<typeof setTimeout> | undefined
    const watch = () => {
      clearTimeout(timer)
      timer = setTimeout(() => aborting.abort(silentError(timeoutMs)), timeoutMs)
    }
    watch()
    const aborted = new Promise<never>((_, reject) => {
      aborting.signal.addEventListener('abort', () => reject(aborting.signal.reason as Error))
    })
    const creating = takeModel().create({
      ...nameLanguages(options.languages),
      ...(initial.length > 0 && { initialPrompts: initial.map(toPlatformMessage) }),
      signal: aborting.signal,
      monitor: (target) =>
        target.addEventListener('downloadprogress', (event) => {
          watch()
          onProgress((event as ProgressEvent).loaded)
        }),
    })
    try {
      return await Promise.race([creating, aborted])
    } finally {
      clearTimeout(timer)
      created.abort()
    }
  }

  async function* load(signal: AbortSignal): AsyncGenerator<BrowserModelLoad, undefined> {
    const fractions: number[] = []
    let wake = () => {}
    const creating = createSession([], signal, (fraction) => {
      fractions.push(fraction)
      wake()
    }).finally(() => wake())
    let session: PlatformSession | undefined
    const settled = creating.then((created) => (session = created))
    settled.catch(() => {})
    while (!session) {
      const progressed = new Promise<void>((resolve) => (wake = resolve))
      if (fractions.length === 0) await Promise.race([settled, progressed])
      for (const fraction of fractions.splice(0)) yield { kind: 'progress', fraction }
    }
    base = session
    yield { kind: 'ready', contextWindow: session.contextWindow ?? Infinity }
  }

  async function* count(
    messages: readonly RequestMessage[],
    signal: AbortSignal,
  ): AsyncGenerator<number, undefined> {
    const tokens = await measure(messages, signal)
    if (tokens === undefined) {
      throw new RivuletError('invalid-option', 'This version of the browser cannot count tokens.')
    }
    yield tokens
  }

  async function measure(
    messages: readonly RequestMessage[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    return base?.measureContextUsage?.(messages.map(toPlatformMessage), { signal })
  }

  /** Takes the session that has the start of the conversation, or creates one. */
  async function takeSession(messages: readonly RequestMessage[], signal: AbortSignal) {
    const last = kept
    kept = undefined
    if (last && startsWith(messages, last.messages)) {
      return { session: last.session, input: messages.slice(last.messages.length) }
    }
    last?.session.destroy()
    const question = Math.max(
      0,
      messages.findLastIndex(({ role }) => role === 'user'),
    )
    const session = await createSession(messages.slice(0, question), signal)
    return { session, input: messages.slice(question) }
  }

  async function* answer(
    { messages, assistantPrefix, constraint }: BrowserModelPrompt,
    signal: AbortSignal,
  ): AsyncGenerator<BrowserModelAnswer, undefined> {
    const prefix = { role: 'assistant', content: assistantPrefix } as const
    const promptTokens = await measure(assistantPrefix === '' ? messages : [...messages, prefix], signal)
    yield { kind: 'started', promptTokens }
    const { session, input } = await takeSession(messages, signal)
    let isComplete = false
    let text = assistantPrefix
    const overflowed = new AbortController()
    // The browser drops old messages without an error. An engine does not.
    const refuse = () => overflowed.abort(overflowError())
    session.addEventListener('contextoverflow', refuse)
    try {
      const stream = session.promptStreaming(
        [...input.map(toPlatformMessage), ...(assistantPrefix === '' ? [] : [{ ...prefix, prefix: true }])],
        {
          signal: AbortSignal.any([signal, overflowed.signal]),
          ...(constraint !== undefined && {
            responseConstraint: typeof constraint === 'string' ? new RegExp(constraint) : constraint,
            omitResponseConstraintInput: true,
          }),
        },
      )
      const reader = stream.getReader()
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        const chunk = String(read.value)
        text += chunk
        if (chunk !== '') yield { kind: 'text', text: chunk }
      }
      isComplete = true
    } finally {
      session.removeEventListener('contextoverflow', refuse)
      const complete = [...messages, { role: 'assistant', content: text } as const]
      if (isComplete && !stopping.signal.aborted) kept = { session, messages: complete }
      else session.destroy()
    }
  }

  function open(
    request: BrowserModelRequest,
    signal: AbortSignal,
  ): AsyncGenerator<BrowserModelLoad | BrowserModelAnswer | number, undefined> {
    if (request.kind === 'count') return count(request.messages, signal)
    if (request.kind === 'answer') return answer(request.prompt, signal)
    ;({ options } = request)
    return load(signal)
  }

  port.onmessage = ({ data }: MessageEvent<BrowserModelRequest>) => {
    const leaving = new AbortController()
    const events = open(data, AbortSignal.any([stopping.signal, leaving.signal]))
    sendStream(streamEvents(events, leaving), data.port)
  }

  return () => {
    stopping.abort()
    port.close()
    kept?.session.destroy()
    base?.destroy()
  }
}

/** Creates a stream that computes each event only when it is read. */
function streamEvents<Event>(
  events: AsyncGenerator<Event, undefined>,
  leaving: AbortController,
): ReadableStream<Event> {
  return new ReadableStream<Event>(
    {
      async pull(controller) {
        try {
          const { done, value } = await events.next()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          throw explainBrowserFailure(error)
        }
      },
      async cancel(reason) {
        leaving.abort(reason)
        await events.return(undefined).catch(() => {})
      },
    },
    { highWaterMark: 0 },
  )
}

function startsWith(messages: readonly RequestMessage[], start: readonly RequestMessage[]): boolean {
  return (
    messages.length > start.length &&
    start.every(
      ({ role, content }, index) => messages[index]!.role === role && messages[index]!.content === content,
    )
  )
}

function toPlatformMessage({ role, content }: RequestMessage): PlatformMessage {
  // The backend refuses messages of tools.
  return { role: role === 'tool' ? 'user' : role, content }
}

function silentError(timeoutMs: number): RivuletError {
  return new RivuletError(
    'backend-unavailable',
    `The browser's model did not start within ${timeoutMs / 1000} seconds. Reload the page, or use another backend.`,
  )
}

function overflowError(): RivuletError {
  return new RivuletError(
    'prompt-too-long',
    "The conversation is longer than the context of the browser's model. Shorten the prompt or remove old messages.",
  )
}
