import type { Said, SaidPart } from './contract/options.js'
import type { ModelInfo, TokenChunk } from './contract/worker-api.js'

/** What one backend wrote of a text. */
export interface GenerationPart {
  readonly backend: string
  readonly model: string
  readonly device: ModelInfo['device']
  /** The adapter, the number of threads or the server. */
  readonly deviceDescription: string
  readonly text: string
  readonly tokens: number
}

/** What a generation has said, and who said it. */
export interface Transcript {
  readonly text: string
  readonly tokens: number
  readonly parts: readonly GenerationPart[]
  /** All that comes is this one's. */
  setWriter(info: ModelInfo): void
  add(chunk: Pick<TokenChunk, 'text' | 'tokenIds' | 'tokenCount'>): void
  /** @returns what `info`'s model needs to go on; undefined where nothing was said */
  tell(info: ModelInfo): Said | undefined
}

/** A part, and the ids of its tokens. */
interface Entry {
  readonly part: { -readonly [Name in keyof GenerationPart]: GenerationPart[Name] }
  readonly tokenIds: number[]
}

export function createTranscript(): Transcript {
  const entries: Entry[] = []
  let writer: ModelInfo | undefined
  const writes = (info: ModelInfo, { part }: Entry) =>
    part.backend === info.backend && part.model === info.model

  function beginPart(): Entry {
    const { backend = '', model = '', device = 'wasm', deviceDescription = '' } = writer ?? {}
    const begun = { part: { backend, model, device, deviceDescription, text: '', tokens: 0 }, tokenIds: [] }
    entries.push(begun)
    return begun
  }

  return {
    get text() {
      return join(entries).text
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
    add({ text, tokenIds, tokenCount }) {
      const last = entries.at(-1)
      const isSame =
        last &&
        writer &&
        writes(writer, last) &&
        last.part.device === writer.device &&
        last.part.deviceDescription === writer.deviceDescription
      const entry = isSame ? last : beginPart()
      entry.part.text += text
      entry.part.tokens += tokenCount
      entry.tokenIds.push(...tokenIds)
    },
    tell(info) {
      if (entries.length === 0) return undefined
      // A model can have been moved to another device: its tokens are the same.
      const others = entries.findLastIndex((entry) => !writes(info, entry)) + 1
      const own = entries.slice(others)
      return {
        before: join(entries.slice(0, others)),
        own: { ...join(own), tokenIds: own.flatMap(({ tokenIds }) => tokenIds) },
      }
    },
  }
}

function join(entries: readonly Entry[]): SaidPart {
  return entries.reduce(
    (all, { part }) => ({ text: all.text + part.text, tokens: all.tokens + part.tokens }),
    { text: '', tokens: 0 },
  )
}
