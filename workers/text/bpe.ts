import { createPairTable, type PairTable } from './pair-table.js'
import { createByteFallback, stepsPerYield, type TokenModel } from './token-model.js'

/** The fields of a BPE model in `tokenizer.json`. */
export interface BpeConfig {
  readonly vocab: Readonly<Record<string, number>>
  readonly merges: readonly (string | readonly [string, string])[]
  readonly unk_token?: string | null
  readonly continuing_subword_prefix?: string | null
  readonly end_of_word_suffix?: string | null
  readonly fuse_unk?: boolean
  readonly byte_fallback?: boolean
  readonly ignore_merges?: boolean
}

/** A word with more UTF-16 code units is split first, and is not cached. */
const longWord = 256
const maxCachedWords = 10_000

/**
 * Creates a byte-pair encoder (Sennrich et al. 2016, arXiv 1508.07909) that returns the same ids as Python's `tokenizers`
 * (`models/bpe`): of all pairs of adjacent tokens, the one with the lowest rank is merged first, then the leftmost.
 * A word of n characters takes O(n log n) steps. `@huggingface/tokenizers` makes a string of each pair, so that a long
 * Llama 2 prompt, which is one word, takes seconds.
 * @throws Error if a merge is not in the vocabulary
 */
export function createBpe(config: BpeConfig): TokenModel {
  const prefix = config.continuing_subword_prefix ?? ''
  const suffix = config.end_of_word_suffix ?? ''
  const ids = new Map(Object.entries(config.vocab))
  const unknownId = typeof config.unk_token === 'string' ? ids.get(config.unk_token) : undefined
  const encodeBytes = config.byte_fallback ? createByteFallback(ids) : () => undefined
  const { ranks, merged } = readMerges(config.merges, prefix.length, ids)
  const cache = new Map<string, readonly number[]>()
  let pairs: ReadonlySet<number> | undefined

  /** Returns the token ids of the word's characters, before any merge. */
  function* encodeCharacters(word: string): Generator<undefined, number[], undefined> {
    const symbols: number[] = []
    let unknowns = 0
    let index = 0
    let steps = 0
    for (const character of word) {
      steps += 1
      if (steps % stepsPerYield === 0) yield
      const isLast = index + character.length === word.length
      const token = (index > 0 ? prefix : '') + character + (isLast ? suffix : '')
      index += character.length
      const id = ids.get(token)
      if (id !== undefined) {
        // As in `merge_word`: an unknown character is added when the next known one follows.
        for (; unknowns > 0; unknowns -= 1) symbols.push(unknownId!)
        symbols.push(id)
        continue
      }
      const bytes = encodeBytes(token)
      if (bytes) for (const byte of bytes) symbols.push(byte)
      else if (unknownId !== undefined) unknowns = config.fuse_unk ? 1 : unknowns + 1
    }
    for (; unknowns > 0; unknowns -= 1) symbols.push(unknownId!)
    return symbols
  }

  function* encodeWord(word: string): Generator<undefined, readonly number[], undefined> {
    const known = cache.get(word)
    if (known) return known
    const encoded = yield* mergeSymbols(yield* encodeCharacters(word), ranks, merged)
    if (word.length <= longWord) {
      if (cache.size >= maxCachedWords) cache.clear()
      cache.set(word, encoded)
    }
    return encoded
  }

  /**
   * Splits a word where no merge can cross: between two characters that are adjacent in no merged token. The pieces have
   * the same tokens as the word. A character outside the vocabulary stays with its neighbours, because it may be dropped.
   */
  function* splitWord(word: string): Generator<string, undefined, undefined> {
    pairs ??= collectPairs(config.merges)
    let start = 0
    let index = 0
    let left = ''
    for (const right of word) {
      if (left !== '' && !pairs.has(toPair(left, right)) && ids.has(left) && ids.has(right)) {
        yield word.slice(start, index)
        start = index
      }
      index += right.length
      left = right
    }
    yield word.slice(start)
  }

  return {
    ids,
    unknownId,
    *encode(word) {
      const whole = config.ignore_merges ? ids.get(word) : undefined
      if (whole !== undefined) return [whole]
      if (word.length <= longWord || prefix !== '' || suffix !== '') return yield* encodeWord(word)
      const encoded: number[] = []
      let pieces = 0
      for (const piece of splitWord(word)) {
        for (const id of yield* encodeWord(piece)) encoded.push(id)
        pieces += 1
        if (pieces % stepsPerYield === 0) yield
      }
      return encoded
    },
  }
}

/** Reads the merges: `ranks` maps two ids to the merge's rank, and `merged` maps the rank to the merged token's id. */
function readMerges(
  merges: BpeConfig['merges'],
  prefixLength: number,
  ids: ReadonlyMap<string, number>,
): { readonly ranks: PairTable; readonly merged: Int32Array } {
  const ranks = createPairTable(merges.length)
  const merged = new Int32Array(merges.length)
  for (let rank = 0; rank < merges.length; rank += 1) {
    const [left, right] = splitMerge(merges[rank]!)
    const leftId = ids.get(left)
    const rightId = ids.get(right)
    const id = ids.get(left + right.slice(prefixLength))
    if (leftId === undefined || rightId === undefined || id === undefined)
      throw new Error(`the merge "${left} ${right}" or its result is not in the vocabulary.`)
    ranks.set(leftId, rightId, rank)
    merged[rank] = id
  }
  return { ranks, merged }
}

function splitMerge(merge: string | readonly [string, string]): readonly [string, string] {
  if (typeof merge !== 'string') return merge
  const space = merge.indexOf(' ')
  return [merge.slice(0, space), merge.slice(space + 1)]
}

/** Collects all pairs of characters that are adjacent in a merged token. */
function collectPairs(merges: BpeConfig['merges']): ReadonlySet<number> {
  const pairs = new Set<number>()
  for (const merge of merges) {
    let left = ''
    for (const right of splitMerge(merge).join('')) {
      if (left !== '') pairs.add(toPair(left, right))
      left = right
    }
  }
  return pairs
}

function toPair(left: string, right: string): number {
  return left.codePointAt(0)! * 2 ** 21 + right.codePointAt(0)!
}

/** An entry of the queue is `rank * positions + position`, so that a lower rank comes first, then a lower position. */
const positions = 2 ** 24

/** Merges adjacent symbols in the order of their ranks. Changes `symbols`. */
function* mergeSymbols(
  symbols: number[],
  ranks: PairTable,
  merged: Int32Array,
): Generator<undefined, readonly number[], undefined> {
  const count = symbols.length
  const next = new Int32Array(count)
  const previous = new Int32Array(count)
  const queue: number[] = []

  function addPair(position: number): void {
    const after = next[position]!
    if (after >= count) return
    const rank = ranks.get(symbols[position]!, symbols[after]!)
    if (rank !== -1) pushLowest(queue, rank * positions + position)
  }

  for (let index = 0; index < count; index += 1) {
    next[index] = index + 1
    previous[index] = index - 1
  }
  for (let index = 0; index < count; index += 1) {
    addPair(index)
    if (index % stepsPerYield === stepsPerYield - 1) yield
  }
  for (let steps = 1; queue.length > 0; steps += 1) {
    if (steps % stepsPerYield === 0) yield
    const entry = popLowest(queue)
    const position = entry % positions
    const product = merged[Math.floor(entry / positions)]!
    const after = next[position]!
    // The pair may have changed since its entry was added.
    if (symbols[position] === -1 || after >= count) continue
    const rank = ranks.get(symbols[position]!, symbols[after]!)
    if (rank === -1 || merged[rank] !== product) continue
    symbols[position] = product
    symbols[after] = -1
    const following = next[after]!
    next[position] = following
    if (following < count) previous[following] = position
    if (previous[position]! >= 0) addPair(previous[position]!)
    addPair(position)
  }
  return symbols.filter((symbol) => symbol !== -1)
}

/** Adds a number to a binary heap whose lowest number is the first. */
function pushLowest(heap: number[], value: number): void {
  let index = heap.length
  heap.push(value)
  while (index > 0) {
    const parent = (index - 1) >> 1
    if (heap[parent]! <= value) break
    heap[index] = heap[parent]!
    index = parent
  }
  heap[index] = value
}

/** Removes and returns the lowest number of a binary heap that is not empty. */
function popLowest(heap: number[]): number {
  const lowest = heap[0]!
  const last = heap.pop()!
  const count = heap.length
  if (count === 0) return lowest
  let index = 0
  for (;;) {
    let child = 2 * index + 1
    if (child >= count) break
    if (child + 1 < count && heap[child + 1]! < heap[child]!) child += 1
    if (heap[child]! >= last) break
    heap[index] = heap[child]!
    index = child
  }
  heap[index] = last
  return lowest
}
