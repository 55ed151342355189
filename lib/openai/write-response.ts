import type { AnswerEnd, TokenChunk } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'
import type { Usage } from '../generation-tally.js'

/** The values that all objects of one response share. */
export interface ResponseHead {
  readonly model: string
  /** Unix time in seconds. */
  readonly created: number
  /** What the response repeats from its request. */
  readonly echo: Readonly<Record<string, unknown>>
}

/** An event of a streamed response. Its `type` is also the name of the server-sent event. */
export interface ResponseEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** An item of the output. Each channel of the answer has its own: reasoning, a message, and function calls. */
type Item =
  | { readonly kind: 'reasoning' | 'message'; readonly id: string; text: string }
  | {
      readonly kind: 'call'
      readonly id: string
      readonly callId: string
      readonly name: string
      text: string
    }

type ItemStatus = 'in_progress' | 'completed' | 'incomplete'

/**
 * Creates the functions that write a response of OpenAI's Responses API: whole, or as its streaming events ("Streaming
 * events", https://platform.openai.com/docs/api-reference/responses-streaming).
 */
export function createResponseWriter({ model, created, echo }: ResponseHead) {
  const id = drawId('resp')
  const items: Item[] = []
  let sequence = 0
  const event = (type: string, fields: object): ResponseEvent => ({
    type,
    ...fields,
    sequence_number: sequence++,
  })

  function writeObject(status: ItemStatus, end?: AnswerEnd, usage?: Usage): object {
    const reasons = { length: 'max_output_tokens', 'content-filter': 'content_filter' } as const
    const reason = end === 'length' || end === 'content-filter' ? reasons[end] : undefined
    return {
      id,
      object: 'response',
      created_at: created,
      status,
      error: null,
      incomplete_details: reason === undefined ? null : { reason },
      instructions: null,
      max_output_tokens: null,
      access_programs: null,
      metadata: {},
      parallel_tool_calls: true,
      temperature: null,
      tool_choice: 'auto',
      tools: [],
      top_p: null,
      reasoning: { effort: null, summary: null },
      text: { format: { type: 'text' } },
      ...echo,
      background: false,
      model,
      // The items are complete or cut off as the response is.
      output: status === 'in_progress' ? [] : items.map((item) => writeItem(item, status)),
      previous_response_id: null,
      truncation: 'disabled',
      ...(usage && { usage: writeUsage(usage) }),
    }
  }

  /** Opens an item, and closes the one before it. */
  function open(item: Item): ResponseEvent[] {
    const before = items.length > 0 ? close('completed') : []
    items.push(item)
    const output_index = items.length - 1
    const added = event('response.output_item.added', {
      output_index,
      item: writeItem({ ...item, text: '' }, 'in_progress'),
    })
    if (item.kind === 'call') return [...before, added]
    const place = { item_id: item.id, output_index, content_index: 0 }
    return [
      ...before,
      added,
      event('response.content_part.added', { ...place, part: writePart(item.kind, '') }),
    ]
  }

  function close(status: ItemStatus): ResponseEvent[] {
    const item = items.at(-1)
    if (!item) return []
    const output_index = items.length - 1
    const done = event.bind(undefined, 'response.output_item.done')
    if (item.kind === 'call') {
      const place = { item_id: item.id, output_index }
      const ended = event('response.function_call_arguments.done', { ...place, arguments: item.text })
      return [ended, done({ output_index, item: writeItem(item, status) })]
    }
    const place = { item_id: item.id, output_index, content_index: 0 }
    const logprobs = item.kind === 'message' ? { logprobs: [] } : {}
    return [
      event(`response.${eventNames[item.kind]}.done`, { ...place, text: item.text, ...logprobs }),
      event('response.content_part.done', { ...place, part: writePart(item.kind, item.text) }),
      done({ output_index, item: writeItem(item, status) }),
    ]
  }

  function addText(kind: 'reasoning' | 'message', delta: string): ResponseEvent[] {
    if (delta === '') return []
    const before = items.at(-1)?.kind === kind ? [] : open({ kind, id: drawId(idPrefixes[kind]), text: '' })
    const item = items.at(-1)!
    item.text += delta
    const place = { item_id: item.id, output_index: items.length - 1, content_index: 0 }
    const logprobs = kind === 'message' ? { logprobs: [] } : {}
    return [...before, event(`response.${eventNames[kind]}.delta`, { ...place, delta, ...logprobs })]
  }

  function addCalls(deltas: NonNullable<TokenChunk['toolCalls']>): ResponseEvent[] {
    return deltas.flatMap(({ id: callId, name = '', argumentsDelta: delta }) => {
      const before =
        callId === undefined ? [] : open({ kind: 'call', id: drawId('fc'), callId, name, text: '' })
      const item = items.at(-1)!
      item.text += delta
      const place = { item_id: item.id, output_index: items.length - 1 }
      return delta === ''
        ? before
        : [...before, event('response.function_call_arguments.delta', { ...place, delta })]
    })
  }

  return {
    start: (): ResponseEvent[] => [
      event('response.created', { response: writeObject('in_progress') }),
      event('response.in_progress', { response: writeObject('in_progress') }),
    ],
    write: ({
      text,
      reasoning = '',
      toolCalls = [],
    }: Pick<TokenChunk, 'text' | 'reasoning' | 'toolCalls'>) => [
      ...addText('reasoning', reasoning),
      ...addText('message', text),
      ...addCalls(toolCalls),
    ],
    end(end: AnswerEnd, usage: Usage): ResponseEvent[] {
      const status = end === 'length' || end === 'content-filter' ? 'incomplete' : 'completed'
      const closing = close(status)
      return [...closing, event(`response.${status}`, { response: writeObject(status, end, usage) })]
    },
    fail: (error: {
      readonly message: string
      readonly code: string
      readonly param: string | null
    }): ResponseEvent => event('error', { code: error.code, message: error.message, param: error.param }),
    /** Returns a whole response. */
    writeWhole({ text, reasoning, toolCalls, usage }: GenerationResult, end: AnswerEnd): object {
      this.write({ text, reasoning })
      for (const { id: callId, name, arguments: args } of toolCalls) {
        addCalls([{ index: 0, id: callId, name, argumentsDelta: args }])
      }
      const status = end === 'length' || end === 'content-filter' ? 'incomplete' : 'completed'
      return writeObject(status, end, usage)
    },
  }
}

const idPrefixes = { reasoning: 'rs', message: 'msg' } as const
const eventNames = { reasoning: 'reasoning_text', message: 'output_text' } as const

function writePart(kind: 'reasoning' | 'message', text: string): object {
  return kind === 'reasoning'
    ? { type: 'reasoning_text', text }
    : { type: 'output_text', text, annotations: [], logprobs: [] }
}

function writeItem(item: Item, status: ItemStatus): object {
  const { id, kind, text } = item
  if (kind === 'call') {
    return { id, type: 'function_call', status, call_id: item.callId, name: item.name, arguments: text }
  }
  const content = status === 'in_progress' ? [] : [writePart(kind, text)]
  return kind === 'reasoning'
    ? { id, type: 'reasoning', status, summary: [], content }
    : { id, type: 'message', status, role: 'assistant', content }
}

function writeUsage({
  promptTokens,
  cachedPromptTokens,
  completionTokens,
  reasoningTokens = 0,
}: Usage): object {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedPromptTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  }
}

function drawId(prefix: string): string {
  const random = crypto.getRandomValues(new Uint32Array(4))
  return `${prefix}_${Array.from(random, (part) => part.toString(16).padStart(8, '0')).join('')}`
}
