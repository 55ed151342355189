import type { GeneratedAnswer, Resume } from './contract/request.js'
import type { ModelInfo, TokenChunk, ToolCall } from './contract/worker-api.js'

/** The part of an answer that one backend generated. */
export interface GenerationPart {
  readonly backend: string
  readonly model: string
  readonly device: ModelInfo['device']
  /** The GPU adapter's name, the number of threads or the server's host. */
  readonly deviceDescription: string
  readonly text: string
  readonly tokens: number
}

/** The text that a generation has produced, and which backends produced it. */
export interface Transcript {
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: readonly ToolCall[]
  readonly tokens: number
  readonly parts: readonly GenerationPart[]
  /** Sets the model that generates the chunks that are added after this call. */
  setWriter(info: ModelInfo): void
  add(chunk: Pick<TokenChunk, 'text' | 'reasoning' | 'toolCalls' | 'tokenIds' | 'tokenCount'>): void
  /** False if the answer has reasoning or tool calls: no backend can continue those from their text yet. */
  readonly canResume: boolean
  /** Returns what the model `info` needs to continue the answer. @returns undefined if the model starts a new answer */
  resumeFor(info: ModelInfo): Resume | undefined
}

/** A part and its token ids. */
interface Entry {
  readonly part: { -readonly [Name in keyof GenerationPart]: GenerationPart[Name] }
  readonly tokenIds: number[]
}

export function createTranscript(): Transcript {
  const entries: Entry[] = []
  const toolCalls: { -readonly [Name in keyof ToolCall]: ToolCall[Name] }[] = []
  let reasoning = ''
  let writer: ModelInfo | undefined
  const isWriter = (info: ModelInfo, { part }: Entry) =>
    part.backend === info.backend && part.model === info.model

  function addEntry(): Entry {
    const { backend = '', model = '', device = 'wasm', deviceDescription = '' } = writer ?? {}
    const entry = { part: { backend, model, device, deviceDescription, text: '', tokens: 0 }, tokenIds: [] }
    entries.push(entry)
    return entry
  }

  return {
    get text() {
      return join(entries).text
    },
    get reasoning() {
      return reasoning
    },
    get toolCalls() {
      return toolCalls.map((call) => ({ ...call }))
    },
    get canResume() {
      return reasoning === '' && toolCalls.length === 0
    },
    get tokens() {
      return join(entries).tokens
    },
    get parts() {
      return entries.map(({ part }) => ({ ...part }))
    },
    setWriter(info) {
      writer = info
    },
    add({ text, reasoning: addedReasoning = '', toolCalls: deltas = [], tokenIds, tokenCount }) {
      reasoning += addedReasoning
      for (const { index, id = '', name = '', argumentsDelta } of deltas) {
        const call = (toolCalls[index] ??= { id, name, arguments: '' })
        call.arguments += argumentsDelta
      }
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
      entry.tokenIds.push(...tokenIds)
    },
    resumeFor(info) {
      const isEmpty = join(entries).text === ''
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
  return entries.reduce(
    (all, { part }) => ({ text: all.text + part.text, tokens: all.tokens + part.tokens }),
    { text: '', tokens: 0 },
  )
}
