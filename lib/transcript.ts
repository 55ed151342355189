import type { GeneratedAnswer, Resume } from './contract/request.js'
import type { Channel, GenerationEvent, ModelInfo, ToolCall } from './contract/worker-api.js'

/** The part of an answer that one backend generated. */
export interface GenerationPart {
  readonly backend: string
  readonly model: string
  readonly device: ModelInfo['device']
  /** The GPU adapter's name, the number of threads or the server's host. */
  readonly deviceDescription: string
  readonly text: string
  readonly tokens: number
  /** Why this backend was chosen; missing in an engine without `route`. */
  readonly reason?: RouteReason
}

/**
 * Why `routing()` chose a backend. `first`: it is the first choice. `prompt-length`, `battery`, `memory`, `save-data`: this limit
 * of the device was exceeded. `loading`: the first choice is not loaded yet. `unsupported`: the choices before it do not
 * support the request. `failed`: those before it failed. `slow`: those before it had no token in time.
 */
export type RouteReason =
  | 'first'
  | 'prompt-length'
  | 'battery'
  | 'memory'
  | 'save-data'
  | 'loading'
  | 'unsupported'
  | 'failed'
  | 'slow'

/** The text that a generation has produced, and which backends produced it. */
export interface Transcript {
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: readonly ToolCall[]
  readonly tokens: number
  readonly parts: readonly GenerationPart[]
  /** Sets the model that generates the chunks that are added after this call. */
  setWriter(info: ModelInfo, reason?: RouteReason): void
  add(chunk: Omit<Extract<GenerationEvent, { kind: 'chunk' }>, 'kind' | 'logprobs'>): void
  /** True if the model `info` can continue the channels that the answer has. */
  canResume(info: ModelInfo): boolean
  /** Returns what the model `info` needs to continue the answer. @returns undefined if the model starts a new answer */
  resumeFor(info: ModelInfo): Resume | undefined
}

/** A part with everything that its model generated. */
interface Entry {
  readonly part: { -readonly [Name in keyof GenerationPart]: GenerationPart[Name] }
  readonly tokenIds: number[]
  reasoning: string
  raw: string
  /** By the call's number. A call that another model started is here only with the rest of its arguments. */
  readonly calls: Map<number, WritableCall>
}

type WritableCall = { -readonly [Name in keyof ToolCall]: ToolCall[Name] }

export function createTranscript(): Transcript {
  const entries: Entry[] = []
  let writer: ModelInfo | undefined
  let writerReason: RouteReason | undefined
  const isWriter = (info: ModelInfo, { part }: Entry) =>
    part.backend === info.backend && part.model === info.model

  function addEntry(): Entry {
    const { backend = '', model = '', device = 'wasm', deviceDescription = '' } = writer ?? {}
    const part = {
      backend,
      model,
      device,
      deviceDescription,
      text: '',
      tokens: 0,
      ...(writerReason && { reason: writerReason }),
    }
    const entry: Entry = { part, tokenIds: [], reasoning: '', raw: '', calls: new Map() }
    entries.push(entry)
    return entry
  }

  function listChannels(): readonly Channel[] {
    const { text, reasoning = '', toolCalls = [] } = join(entries)
    return [
      ...(text === '' ? [] : ['text' as const]),
      ...(reasoning === '' ? [] : ['reasoning' as const]),
      ...(toolCalls.length === 0 ? [] : ['tool-calls' as const]),
    ]
  }

  return {
    get text() {
      return join(entries).text
    },
    get reasoning() {
      return join(entries).reasoning ?? ''
    },
    get toolCalls() {
      return join(entries).toolCalls ?? []
    },
    get tokens() {
      return join(entries).tokens
    },
    get parts() {
      return entries.map(({ part }) => ({ ...part }))
    },
    setWriter(info, reason) {
      writer = info
      writerReason = reason
    },
    add({ text, reasoning = '', toolCalls = [], raw = text, tokenIds, tokenCount }) {
      const last = entries.at(-1)
      const isSame =
        last &&
        writer &&
        isWriter(writer, last) &&
        last.part.device === writer.device &&
        last.part.deviceDescription === writer.deviceDescription
      const entry = isSame ? last : addEntry()
      entry.part.text += text
      entry.part.tokens += tokenCount
      entry.reasoning += reasoning
      entry.raw += raw
      entry.tokenIds.push(...tokenIds)
      for (const { index, id = '', name = '', argumentsDelta } of toolCalls) {
        const call = entry.calls.get(index) ?? { id, name, arguments: '' }
        entry.calls.set(index, call)
        call.arguments += argumentsDelta
      }
    },
    canResume({ supports: { continuedChannels = ['text'] } }) {
      return listChannels().every((channel) => continuedChannels.includes(channel))
    },
    resumeFor(info) {
      const isEmpty = listChannels().length === 0
      if (entries.length === 0 || (isEmpty && !info.supports.continuation)) return undefined
      // The same model has the same tokens on another device, so the device is not compared.
      const firstOfModel = entries.findLastIndex((entry) => !isWriter(info, entry)) + 1
      const generated = entries.slice(firstOfModel)
      return {
        handedOver: join(entries.slice(0, firstOfModel)),
        generated: { ...join(generated), tokenIds: generated.flatMap(({ tokenIds }) => tokenIds) },
      }
    },
  }
}

function join(entries: readonly Entry[]): GeneratedAnswer {
  const sum = (read: (entry: Entry) => string) => entries.map(read).join('')
  const text = sum(({ part }) => part.text)
  const reasoning = sum((entry) => entry.reasoning)
  const raw = sum((entry) => entry.raw)
  const toolCalls = joinCalls(entries)
  return {
    text,
    tokens: entries.reduce((tokens, { part }) => tokens + part.tokens, 0),
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(raw !== text && { raw }),
  }
}

function joinCalls(entries: readonly Entry[]): readonly ToolCall[] {
  const calls = new Map<number, WritableCall>()
  for (const [index, call] of entries.flatMap((entry) => [...entry.calls])) {
    const known = calls.get(index)
    if (known) known.arguments += call.arguments
    else calls.set(index, { ...call })
  }
  return [...calls].toSorted(([a], [b]) => a - b).map(([, call]) => call)
}
