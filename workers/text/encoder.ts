import { createSectionSplitter, type AddedToken } from './added-tokens.js'
import type { PromptPart } from './chat-template.js'
import type { Normalize } from './normalizer.js'
import type { SplitWords } from './pre-tokenizer.js'
import { joinParts } from './prompt-text.js'
import { stepsPerYield, type TokenModel } from './token-model.js'

/** The stages of a tokenizer, in the order in which a text passes them. */
export interface EncoderStages {
  readonly addedTokens: readonly AddedToken[]
  readonly normalize: Normalize
  readonly splitWords: SplitWords
  readonly model: TokenModel
}

/** Returns the ids of a prompt. Yields now and then, so that the caller can pause. */
export type EncodeParts = (parts: readonly PromptPart[]) => Generator<undefined, number[], undefined>

/**
 * Creates an encoder with the order of Python's `tokenizers`: added tokens, normalizer, added tokens of the normalized text,
 * pre-tokenizer, model. Content never becomes a control token.
 */
export function createEncoder({ addedTokens, normalize, splitWords, model }: EncoderStages): EncodeParts {
  const controlTexts = new Map(
    addedTokens.filter(({ isControl }) => isControl).map(({ id, content }) => [id, content]),
  )
  const normalizeContent = (token: AddedToken) => ({ ...token, content: normalize(token.content) })
  const isMatchedLater = ({ isControl, isNormalized }: AddedToken) => isNormalized && !isControl
  const splitRaw = createSectionSplitter(addedTokens.filter((token) => !isMatchedLater(token)))
  const splitNormalized = createSectionSplitter(addedTokens.filter(isMatchedLater).map(normalizeContent))

  /**
   * Encodes a word that is text. A vocabulary can contain a control token as an ordinary piece: its characters are then
   * encoded one by one, so that the control token cannot arise.
   */
  function* encodeWord(word: string): Generator<undefined, readonly number[], undefined> {
    const ids = yield* model.encode(word)
    if (!ids.some((id) => controlTexts.has(id))) return ids
    /** The control tokens whose text is in the word. Any other control token stands for an unknown character. */
    const spelled = new Set<number>()
    for (const id of new Set(ids)) {
      const text = controlTexts.get(id)
      if (text !== undefined && word.includes(text)) spelled.add(id)
    }
    const encoded: number[] = []
    for (const id of ids) {
      if (!spelled.has(id)) encoded.push(id)
      else encoded.push(...(yield* encodeCharacters(Array.from(controlTexts.get(id)!), spelled)))
    }
    return encoded
  }

  function* encodeCharacters(characters: readonly string[], refused: ReadonlySet<number>) {
    const encoded: number[] = []
    for (const character of characters) {
      for (const id of yield* model.encode(character)) {
        if (!refused.has(id)) encoded.push(id)
        else if (model.unknownId !== undefined) encoded.push(model.unknownId)
      }
    }
    return encoded
  }

  /** Encodes the text between two added tokens. The result depends on nothing else. */
  function* encodeSection(text: string, isFirst: boolean): Generator<undefined, number[], undefined> {
    const ids: number[] = []
    let words = 0
    const normalized = joinParts([{ text: normalize(text), isContent: true }])
    for (const piece of splitNormalized(normalized)) {
      if ('id' in piece) {
        ids.push(piece.id)
        continue
      }
      for (const word of splitWords(piece.text, isFirst && piece.start === 0)) {
        for (const id of yield* encodeWord(word)) ids.push(id)
        words += 1
        if (words % stepsPerYield === 0) yield
      }
    }
    return ids
  }

  const sections = createSectionCache(encodeSection)

  return function* encodeParts(parts) {
    const ids: number[] = []
    for (const section of splitRaw(joinParts(parts))) {
      if ('id' in section) ids.push(section.id)
      else for (const id of yield* sections.encode(section.text, section.start === 0)) ids.push(id)
    }
    return ids
  }
}

/** How many characters the remembered sections have together, at most. A conversation as long as most contexts. */
const maxCachedCharacters = 2 ** 18
/** Shorter sections are encoded as fast as they are found. */
const minCachedCharacters = 32

/**
 * Remembers the ids of sections. Each turn of a chat encodes the whole conversation again. Its messages are between control
 * tokens, which no merge can cross, so a section has the same ids in every prompt.
 */
function createSectionCache(
  encode: (text: string, isFirst: boolean) => Generator<undefined, number[], undefined>,
): {
  encode(text: string, isFirst: boolean): Generator<undefined, readonly number[], undefined>
} {
  /** From the least to the most recently used. */
  const known = new Map<string, readonly number[]>()
  let characters = 0

  function remember(key: string, ids: readonly number[]): void {
    known.set(key, ids)
    characters += key.length
    for (const oldest of known.keys()) {
      if (characters <= maxCachedCharacters) return
      known.delete(oldest)
      characters -= oldest.length
    }
  }

  return {
    *encode(text, isFirst) {
      if (text.length < minCachedCharacters) return yield* encode(text, isFirst)
      const key = `${isFirst ? '^' : ' '}${text}`
      const found = known.get(key)
      if (found) {
        // Now the most recently used.
        known.delete(key)
        known.set(key, found)
        return found
      }
      const ids = yield* encode(text, isFirst)
      // It can have been encoded twice at once.
      if (!known.has(key)) remember(key, ids)
      return ids
    },
  }
}
