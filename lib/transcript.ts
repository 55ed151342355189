import type { Said, SaidPart } from './contract/options.js'
import type { ModelInfo, TokenChunk } from './contract/worker-api.js'

/** What one backend wrote of a text. */
export interface GenerationPart {
  readonly backend: string
  readonly model: string
  readonly device: ModelInfo['device']
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

interface Part extends GenerationPart {
  text: string
  tokens: number
  readonly tokenIds: number[]
}

export function createTranscript(): Transcript {
  const parts: Part[] = []
  let writer: ModelInfo | undefined
  const writes = (info: ModelInfo, { backend, model }: GenerationPart) =>
    backend === info.backend && model === info.model

  return {
    get text() {
      return join(parts).text
    },
    get tokens() {
      return join(parts).tokens
    },
    get parts() {
      return parts.map(({ backend, model, device, text, tokens }) => ({
        backend,
        model,
        device,
        text,
        tokens,
      }))
    },
    setWriter(info) {
      writer = info
    },
    add({ text, tokenIds, tokenCount }) {
      const last = parts.at(-1)
      const { backend = '', model = '', device = 'wasm' } = writer ?? {}
      const isSame = last && writer && writes(writer, last) && last.device === device
      const part = isSame ? last : { backend, model, device, text: '', tokens: 0, tokenIds: [] }
      if (!isSame) parts.push(part)
      part.text += text
      part.tokens += tokenCount
      part.tokenIds.push(...tokenIds)
    },
    tell(info) {
      if (parts.length === 0) return undefined
      // A model can have been moved to another device: its tokens are the same.
      const others = parts.findLastIndex((part) => !writes(info, part)) + 1
      const own = parts.slice(others)
      return {
        before: join(parts.slice(0, others)),
        own: { ...join(own), tokenIds: own.flatMap(({ tokenIds }) => tokenIds) },
      }
    },
  }
}

function join(parts: readonly GenerationPart[]): SaidPart {
  return parts.reduce((all, { text, tokens }) => ({ text: all.text + text, tokens: all.tokens + tokens }), {
    text: '',
    tokens: 0,
  })
}
