import { createPairTable } from './pair-table.js'
import { createByteFallback, stepsPerYield, type TokenModel } from './token-model.js'

/** The fields of a Unigram model in `tokenizer.json`. */
export interface UnigramConfig {
  /** The pieces and the natural logarithms of their probabilities. A piece's index is its id. */
  readonly vocab: readonly (readonly [piece: string, score: number])[]
  readonly unk_id?: number | null
  readonly byte_fallback?: boolean
}

/** How much less an unknown character scores than the least likely piece (`K_UNK_PENALTY` of SentencePiece). */
const unknownPenalty = 10

/**
 * Creates a Unigram encoder (Kudo 2018, arXiv 1804.10959) that returns the same ids as Python's `tokenizers`
 * (`models/unigram`): of all ways to split a word into pieces, the most likely one. Adjacent unknown characters are one
 * unknown token.
 */
export function createUnigram(config: UnigramConfig): TokenModel {
  const { vocab } = config
  const ids = new Map(vocab.map(([piece], id) => [piece, id]))
  const unknownId = config.unk_id ?? undefined
  const unknownScore = vocab.reduce((least, [, score]) => Math.min(least, score), Infinity) - unknownPenalty
  const findPieces = createPrefixSearch(vocab.map(([piece]) => piece))

  const encodeBytes = config.byte_fallback ? createByteFallback(ids) : () => undefined

  /** Finds the best last piece for each end, counted in characters: its start, and its id or -1 if it is unknown. */
  function* findBestPieces(characters: readonly string[]) {
    const scores = new Float64Array(characters.length + 1)
    const starts = new Int32Array(characters.length + 1).fill(-1)
    const pieceIds = new Int32Array(characters.length + 1)

    function offer(start: number, end: number, score: number, id: number): void {
      const total = score + scores[start]!
      if (starts[end] !== -1 && total <= scores[end]!) return
      scores[end] = total
      starts[end] = start
      pieceIds[end] = id
    }

    for (let start = 0; start < characters.length; start += 1) {
      if (start % stepsPerYield === stepsPerYield - 1) yield
      let hasSingle = false
      findPieces(characters, start, (end, id) => {
        offer(start, end, vocab[id]![1], id === unknownId ? -1 : id)
        hasSingle ||= end === start + 1
      })
      if (!hasSingle) offer(start, start + 1, unknownScore, -1)
    }
    return { starts, pieceIds }
  }

  /** Returns the ids of adjacent unknown characters. */
  function encodeUnknown(text: string): readonly number[] {
    const id = ids.get(text)
    if (id !== undefined) return [id]
    const bytes = encodeBytes(text)
    if (bytes) return bytes
    if (unknownId === undefined) throw new Error('the text has unknown characters, and unk_id is missing.')
    return [unknownId]
  }

  return {
    ids,
    unknownId,
    *encode(word) {
      const characters = Array.from(word)
      const { starts, pieceIds } = yield* findBestPieces(characters)
      const reversed: number[] = []
      let steps = 0
      for (let end = characters.length; end > 0;) {
        steps += 1
        if (steps % stepsPerYield === 0) yield
        let start = starts[end]!
        if (pieceIds[end] === -1) {
          while (start > 0 && pieceIds[start] === -1) start = starts[start]!
          const unknown = encodeUnknown(characters.slice(start, end).join(''))
          for (const id of unknown.toReversed()) reversed.push(id)
        } else reversed.push(pieceIds[end]!)
        end = start
      }
      return reversed.toReversed()
    },
  }
}

/** Creates a function that reports all pieces that start at a character, the shortest first. */
function createPrefixSearch(pieces: readonly string[]) {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const children = createPairTable(size)
  const pieceOf: number[] = [-1]
  for (const [id, piece] of pieces.entries()) {
    let node = 0
    for (const character of piece) {
      const code = character.codePointAt(0)!
      let child = children.get(node, code)
      if (child === -1) {
        child = pieceOf.push(-1) - 1
        children.set(node, code, child)
      }
      node = child
    }
    // Of two equal pieces, the last one counts, as in a map from pieces to ids.
    if (node !== 0) pieceOf[node] = id
  }
  return (characters: readonly string[], start: number, report: (end: number, id: number) => void): void => {
    let node = 0
    for (let index = start; index < characters.length; index += 1) {
      node = children.get(node, characters[index]!.codePointAt(0)!)
      if (node === -1) return
      const id = pieceOf[node]!
      if (id !== -1) report(index + 1, id)
    }
  }
}
