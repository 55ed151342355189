import { createAbortedError } from '../finish-reason.js'
import { readTimings, readUsage, type ReadChunk, type SentToolCall } from '../read-chunk.js'
import { asObject, asText, findFailure, isObject, toError, type Json } from '../server-failure.js'
import type { ResponseAnswer } from './known-responses.js'

/** Reads the events of one response of OpenAI's Responses API. */
export interface EventReader {
  /** The response's id; undefined until the server has sent it. */
  readonly id: string | undefined
  /** The `sequence_number` of the last event; undefined if the server sends none. */
  readonly sequence: number | undefined
  /** True after the last event of the response. */
  readonly isOver: boolean
  /** The answer so far. */
  readonly answer: ResponseAnswer
  /**
   * Reads the next event. An event with a number that was already read, as after a resumption, contains nothing.
   * @throws RivuletError for a response that failed: the code that the server's code and words mean, or `generation-failed`
   */
  read(event: Json): ReadChunk
}

/** What is known of the output so far: the lengths of its texts, and the tool calls. */
interface Progress {
  /** True if the server numbers its items with `output_index`. llama.cpp's server does not. */
  hasIndexes: boolean
  /** The length of the text that was read for a part of an item. */
  readonly lengths: Map<string, number>
  /** By item. */
  readonly calls: Map<string, { readonly id: string; readonly name: string; arguments: string }>
}

const nothing: ReadChunk = {
  text: '',
  reasoning: '',
  toolCalls: [],
  isMessage: false,
  finishReason: '',
  isAnswer: false,
  usage: undefined,
  timings: undefined,
}

/**
 * Creates the reader. Source of the events: "Streaming events",
 * https://platform.openai.com/docs/api-reference/responses-streaming. Events that it does not know contain nothing.
 * @param redact removes secrets from a message of the server
 * @param maxTokens the requested maximum. A completed response that has as many tokens ends at it: llama.cpp's server has no
 *   other sign for it
 */
export function createEventReader(redact: (message: string) => string, maxTokens = Infinity): EventReader {
  const progress: Progress = { hasIndexes: false, lengths: new Map(), calls: new Map() }
  let text = ''
  let id: string | undefined
  let sequence: number | undefined
  let isOver = false

  function readEnd(type: string, response: Json, sentTimings: unknown): ReadChunk {
    isOver = true
    const usage = readUsage(response.usage)
    const timings = readTimings(asObject(sentTimings))
    const rest = readOutput(response.output, progress)
    const reason = asText(asObject(response.incomplete_details).reason)
    if (type === 'response.incomplete')
      return { ...rest, usage, timings, finishReason: reason || 'incomplete' }
    if (type === 'response.completed') {
      const isCut = (usage?.completionTokens ?? 0) >= maxTokens
      return { ...rest, usage, timings, finishReason: isCut ? 'max_output_tokens' : 'completed' }
    }
    const failure = findFailure({ error: response.error ?? undefined })
    if (!failure) throw createAbortedError(type.replace('response.', ''))
    throw toError(
      { ...failure, words: redact(failure.words) },
      'The server failed during generation',
      'generation-failed',
    )
  }

  function keep(chunk: ReadChunk): ReadChunk {
    text += chunk.text
    return chunk
  }

  return {
    get id() {
      return id
    },
    get sequence() {
      return sequence
    },
    get isOver() {
      return isOver
    },
    get answer() {
      const toolCalls = [...progress.calls.values()].map(({ id: callId, ...call }) => ({
        id: callId,
        type: 'function' as const,
        function: call,
      }))
      return { text, toolCalls }
    },
    read(event) {
      const { sequence_number: number } = event
      if (typeof number === 'number') {
        if (sequence !== undefined && number <= sequence) return nothing
        sequence = number
      }
      const type = asText(event.type)
      if (isObject(event.response)) {
        id = asText(event.response.id) || id
        if (isEndType(type)) return keep(readEnd(type, event.response, event.timings))
      }
      return keep(readContent(type, event, progress))
    },
  }
}

/** True for the type of the last event of a response. */
export function isEndType(type: string): boolean {
  return /^response\.(completed|incomplete|failed|cancelled)$/.test(type)
}

/** The channel of an event with text, by the middle of its type: `response.<name>.delta`. A refusal tells the user something. */
const channels: Readonly<Record<string, 'text' | 'reasoning' | undefined>> = {
  output_text: 'text',
  refusal: 'text',
  reasoning_text: 'reasoning',
  reasoning_summary_text: 'reasoning',
  reasoning: 'reasoning',
}

function readContent(type: string, event: Json, progress: Progress): ReadChunk {
  const [, name = '', step = ''] = /^response\.(\w+)\.(\w+)$/.exec(type) ?? []
  const channel = Object.hasOwn(channels, name) ? channels[name] : undefined
  if (channel) {
    const item = nameItem(event.item_id, event.output_index, progress)
    const key = `${item} ${channel} ${String(event.content_index ?? event.summary_index ?? 0)}`
    const text = readText(event, step, [event.text, event.refusal], key, progress)
    return text === '' ? nothing : { ...nothing, isAnswer: true, [channel]: text }
  }
  if (name === 'function_call_arguments') {
    const item = nameItem(event.item_id, event.output_index, progress)
    const argumentsDelta = readText(event, step, [event.arguments], item, progress)
    return argumentsDelta === '' ? nothing : writeCall(item, argumentsDelta, progress)
  }
  if (name !== 'output_item' || !isObject(event.item)) return nothing
  return readItem(event.item, event.output_index, progress)
}

/** Returns a name for an item of the output: its number, or its id if the server does not number its items. */
function nameItem(id: unknown, index: unknown, progress: Progress): string {
  progress.hasIndexes ||= typeof index === 'number' && progress.lengths.size + progress.calls.size === 0
  return String(progress.hasIndexes ? index : id)
}

/** Returns the new text of an event: a delta, or the rest of a whole text. */
function readText(
  event: Json,
  step: string,
  wholes: readonly unknown[],
  key: string,
  { lengths }: Progress,
): string {
  const length = lengths.get(key) ?? 0
  const whole = wholes.map(asText).find((text) => text !== '') ?? ''
  const text = step === 'delta' ? asText(event.delta) : step === 'done' ? whole.slice(length) : ''
  lengths.set(key, length + text.length)
  return text
}

/** Reads an item of the output: the start or the rest of a tool call. The texts of other items come in events of their own. */
function readItem(item: Json, index: unknown, progress: Progress): ReadChunk {
  const key = nameItem(item.id, index, progress)
  if (item.type !== 'function_call') return { ...nothing, isAnswer: true }
  const isNew = !progress.calls.has(key)
  if (isNew)
    progress.calls.set(key, {
      id: asText(item.call_id) || asText(item.id),
      name: asText(item.name),
      arguments: '',
    })
  const rest = readText(item, 'done', [item.arguments], key, progress)
  return isNew || rest !== '' ? writeCall(key, rest, progress) : nothing
}

function writeCall(item: string, argumentsDelta: string, { calls }: Progress): ReadChunk {
  const known = calls.get(item) ?? { id: '', name: '', arguments: '' }
  calls.set(item, known)
  known.arguments += argumentsDelta
  const index = [...calls.keys()].indexOf(item)
  const call: SentToolCall = { index, id: known.id, name: known.name, argumentsDelta }
  return { ...nothing, isAnswer: true, toolCalls: [call] }
}

/** Reads what the whole output contains and no event did. */
function readOutput(output: unknown, progress: Progress): ReadChunk {
  const items: readonly unknown[] = Array.isArray(output) ? output : []
  const rests = items.flatMap((item, index) => {
    if (!isObject(item)) return []
    const parts: readonly unknown[] = Array.isArray(item.content) ? item.content : []
    const texts = parts.filter(isObject).map((part, place) => {
      const { text, refusal } = part
      const event = { item_id: item.id, output_index: index, content_index: place, text, refusal }
      return readContent(`response.${asText(part.type)}.done`, event, progress)
    })
    return item.type === 'function_call' ? [readItem(item, index, progress)] : texts
  })
  return {
    ...nothing,
    isAnswer: true,
    text: rests.map(({ text }) => text).join(''),
    reasoning: rests.map(({ reasoning }) => reasoning).join(''),
    toolCalls: rests.flatMap(({ toolCalls }) => toolCalls),
  }
}
