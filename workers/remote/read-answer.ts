import { RivuletError } from '../../lib/contract/errors.js'
import type {
  AnswerEnd,
  CountedTokens,
  GenerationStep,
  ToolCallDelta,
} from '../../lib/contract/worker-api.js'
import type { StreamItem } from './event-stream.js'
import { createAbortedError, readAnswerEnd } from './finish-reason.js'
import {
  readChunk,
  type ReadChunk,
  type SentTimings,
  type SentToolCall,
  type SentUsage,
} from './read-chunk.js'
import { readValues, terminator } from './read-values.js'

/** What the reader of an answer knows about its request. */
export interface AnswerContext {
  readonly maxTokens: number | undefined
  /** True if an answer that ends with `[DONE]`, but without a finish reason, is complete. */
  readonly allowMissingFinishReason: boolean
  readonly queueMs: number
  /** When the request was sent, as a `performance.now()` value. */
  readonly startedAt: number
}

/**
 * Reads a server's answer. It is a success only with a natural finish reason, or with a terminator from a server that sends
 * no finish reasons. After a natural finish reason, the rest (usage and terminator) may be missing: the text is complete.
 * @throws RivuletError `connection-failed` for an incomplete answer; for a failure that the server reports, the code that
 * the server's code and words mean, or else `generation-failed`
 */
export async function* readAnswer(
  parts: AsyncGenerator<AnswerPart, undefined, undefined>,
  context: AnswerContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const answer = createAnswer(context)
  try {
    for (;;) {
      const part = await readNext(parts, answer)
      if (part === undefined || part === terminator) {
        const end = answer.end(part === terminator)
        const counted = answer.count()
        if (counted) yield { kind: 'counted', ...counted }
        return end
      }
      if (part === resumed) yield { kind: 'resumed' }
      else yield* answer.add(part)
    }
  } finally {
    await parts.return(undefined)
  }
}

/** A part of an answer, whichever protocol carries it. */
export type AnswerPart =
  | ReadChunk
  /** The protocol's mark for the end of an answer. */
  | typeof terminator
  /** The connection was lost, and the server goes on with the same answer on another one. */
  | typeof resumed

export const resumed = Symbol('resumed')

/** Reads the chunks of a chat or a completion. */
export async function* readChatChunks(
  items: AsyncIterable<StreamItem>,
  redact: (message: string) => string,
): AsyncGenerator<AnswerPart, undefined, undefined> {
  for await (const value of readValues(items, redact)) yield value === terminator ? value : readChunk(value)
}

/** Reads the next part. A connection that breaks after a natural finish reason ends the answer. */
async function readNext(
  parts: AsyncIterator<AnswerPart, undefined>,
  answer: Answer,
): Promise<AnswerPart | undefined> {
  try {
    return (await parts.next()).value
  } catch (error) {
    const isBroken = error instanceof RivuletError && error.code === 'connection-failed'
    if (isBroken && answer.isComplete) return undefined
    throw error
  }
}

/** The answer so far. */
interface Answer {
  /** True after a natural finish reason. */
  readonly isComplete: boolean
  /** Adds a chunk. @returns the steps that it means: at first `started`, and a chunk if it has content */
  add(chunk: ReadChunk): readonly GenerationStep[]
  /** @returns why the answer ended @throws RivuletError if the answer is not complete */
  end(isTerminated: boolean): AnswerEnd
  /** Returns the server's token counts; undefined if it sent none. */
  count(): CountedTokens | undefined
}

function createAnswer({
  maxTokens = Infinity,
  allowMissingFinishReason,
  queueMs,
  startedAt,
}: AnswerContext): Answer {
  const calls = numberToolCalls()
  const unrepeated = skipRepeats()
  let hasStarted = false
  let tokens = 0
  /** Undefined until a chunk has the field, and then empty until the answer ends. */
  let finishReason: string | undefined
  let usage: SentUsage | undefined
  let hasFinalUsage = false
  let timings: SentTimings | undefined

  function addFacts(chunk: ReadChunk): void {
    timings = chunk.timings ?? timings
    usage = chunk.usage ?? usage
    finishReason = chunk.finishReason || (finishReason ?? chunk.finishReason)
    if (hasContent(chunk)) hasFinalUsage = false
    else if ((chunk.usage?.completionTokens ?? 0) > 0) hasFinalUsage = true
  }

  /** Returns how many tokens a chunk adds: one, or more if the server reports its count so far with each chunk. */
  function countTokens(sent: SentUsage | undefined): number {
    const added = Math.max(1, (sent?.completionTokens ?? 0) - tokens)
    tokens += added
    return added
  }

  function addContent(chunk: ReadChunk): readonly GenerationStep[] {
    const { text, reasoning, toolCalls: sentCalls } = unrepeated.read(chunk)
    const toolCalls = sentCalls.map(calls.number)
    if (text === '' && reasoning === '' && toolCalls.length === 0) return []
    const channels = { ...(reasoning !== '' && { reasoning }), ...(toolCalls.length > 0 && { toolCalls }) }
    return [{ kind: 'chunk', text, ...channels, tokenIds: [], tokenCount: countTokens(chunk.usage) }]
  }

  return {
    get isComplete() {
      return readAnswerEnd(finishReason ?? '') !== undefined
    },
    add(chunk) {
      if (!chunk.isAnswer) return []
      addFacts(chunk)
      const content = addContent(chunk)
      if (hasStarted) return content
      hasStarted = true
      const prefillMs = performance.now() - startedAt
      return [
        { kind: 'started', promptTokens: undefined, cachedPromptTokens: 0, queueMs, prefillMs },
        ...content,
      ]
    },
    end(isTerminated) {
      const end = readAnswerEnd(finishReason ?? '')
      if (end) return end === 'stop' && calls.hasCalls ? 'tool-calls' : end
      if (finishReason) throw createAbortedError(finishReason)
      if (!isTerminated || !hasStarted) throw createIncompleteError(isTerminated)
      // A server that knows finish reasons, and sends neither one nor a final count, has interrupted the answer.
      if (finishReason === '' && !hasFinalUsage && !allowMissingFinishReason) throw createMissingReasonError()
      if (calls.hasCalls) return 'tool-calls'
      return (usage?.completionTokens ?? tokens) >= maxTokens ? 'length' : 'stop'
    },
    count() {
      if (!usage) return undefined
      const { promptTokens = 0, cachedPromptTokens = 0, completionTokens = 0, reasoningTokens } = usage
      return {
        promptTokens,
        cachedPromptTokens,
        // Some servers send zeros where they do not count.
        completionTokens: completionTokens || tokens,
        ...(reasoningTokens !== undefined && { reasoningTokens }),
        timings,
      }
    },
  }
}

function hasContent({ text, reasoning, toolCalls }: ReadChunk): boolean {
  return text !== '' || reasoning !== '' || toolCalls.length > 0
}

/** Removes what is repeated: after chunks with a `delta`, a `message` contains the whole answer so far. */
function skipRepeats() {
  let text = ''
  let hasDeltas = false
  return {
    read(chunk: ReadChunk): Pick<ReadChunk, 'text' | 'reasoning' | 'toolCalls'> {
      const isRepeat = chunk.isMessage && hasDeltas
      hasDeltas ||= !chunk.isMessage && hasContent(chunk)
      const rest = chunk.text.startsWith(text) ? chunk.text.slice(text.length) : ''
      const added = isRepeat ? { text: rest, reasoning: '', toolCalls: [] } : chunk
      text += added.text
      return added
    },
  }
}

function createIncompleteError(isTerminated: boolean): RivuletError {
  const where = isTerminated ? 'sent "[DONE]" without an answer' : 'closed the stream before "[DONE]"'
  return new RivuletError('connection-failed', `The answer is incomplete: the server ${where}. Retry.`)
}

function createMissingReasonError(): RivuletError {
  return new RivuletError(
    'connection-failed',
    'The answer may be incomplete: the server ended it without a finish reason. llama-cpp-python does this when another request interrupts an answer: start it with --interrupt_requests false. If the server always ends its answers like this, set remote({ allowMissingFinishReason: true }).',
  )
}

/**
 * Numbers the tool calls of an answer 0, 1, 2 …, whatever numbers the server sends. A part without a number belongs to the
 * call with its id; without an id, too, to the last call, unless it has a name. Some servers give every call the number 0:
 * another id is another call.
 */
function numberToolCalls() {
  const known: { readonly key: string | number; readonly id: string }[] = []
  return {
    get hasCalls() {
      return known.length > 0
    },
    number({ index: sentIndex, id, name, argumentsDelta }: SentToolCall): ToolCallDelta {
      const last = name === '' ? known.at(-1)?.key : undefined
      const key = sentIndex ?? (id || last) ?? `call ${known.length}`
      const found = known.findLastIndex((call) => call.key === key)
      const isNew = found === -1 || (id !== '' && known[found]!.id !== '' && known[found]!.id !== id)
      if (!isNew) return { index: found, argumentsDelta }
      const index = known.push({ key, id }) - 1
      return { index, id: id || drawCallId(), name, argumentsDelta }
    },
  }
}

/** Returns a random id for a tool call of a server that sends none. */
function drawCallId(): string {
  return `call-${crypto.getRandomValues(new Uint32Array(2)).join('')}`
}
