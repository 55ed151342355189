import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { chooseCheckpoints, cutToCheckpoint, splitAtCheckpoints } from './checkpoints.js'
import {
  countCommonPrefix,
  createConversations,
  worthParkingTokens,
  type Conversation,
} from './conversations.js'
import { createInvalidLogitsError, type Decoder, type FindMask, type StateCopy } from './decoder.js'
import { decodeFloat16 } from './float16.js'
import { logitsOutput } from './graph-names.js'
import { markTokens, type PrefillRules } from './prefill-rules.js'
import { rankLogits } from './ranking.js'
import { chooseTable, type RotaryTables } from './rotary-tables.js'
import { createTokenHistory, greedy, sampleToken } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'
import {
  countCacheBytes,
  countElementBytes,
  countElements,
  countFixedStateBytes,
  measureStates,
  shapeCache,
  type CacheInput,
  type StateSchema,
} from './state-schema.js'
import { prepareTokenFeeds } from './token-feeds.js'

/** Small, since a graph that could not be rewritten returns the logits of every position in the chunk. */
const prefillChunkTokens = 128

/** The number of tokens to compute at load, so that the first request does not wait for the warm-up. */
const warmUpTokens = 20

/**
 * Creates a decoder for any graph on any device: each step creates new KV cache tensors, and the logits are sampled on the
 * CPU. It is used on WASM, and on a GPU for graphs that could not be rewritten.
 *
 * States of fixed size cannot be truncated to a prefix. For a model with such states, the decoder keeps checkpoints
 * instead: near the end of each prompt, and at the end of each answer that a prompt continues. The checkpoints count
 * towards the budget for earlier conversations.
 */
export async function createGrowingCacheDecoder(
  { Tensor }: OnnxRuntime,
  session: InferenceSession,
  { caches, fixedStates, positionRows }: StateSchema,
  conversationCacheBytes: number,
  prefillRules: PrefillRules,
  rotaryTables: readonly RotaryTables[] = [],
  lost: Promise<string> = new Promise(() => {}),
  graphHash = '',
): Promise<Decoder> {
  const createTokenFeeds = prepareTokenFeeds(Tensor, session, positionRows)
  const states = [...caches, ...fixedStates]
  /** True if a checkpoint may split a run in two. `wholePrompt` and a finite `rotarySwitch` do not allow this. */
  const canSplitRuns = !prefillRules.wholePrompt && prefillRules.rotarySwitch === Infinity
  const conversations = createConversations(conversationCacheBytes, disposeCache, countReusable)
  let cache = createEmptyCache()
  /** The tokens that are computed into `cache`, marked by `markTokens`. */
  let ids: readonly number[] = []
  /** The lengths of the current prompt at which `run` parks the states, so that later prompts can continue there. */
  let checkpoints: readonly number[] = []
  let logits: Float32Array = new Float32Array()
  /** True if `logits` are those after the last token of `ids`. */
  let hasLogits = false
  /** The token that was sampled, but is not computed into the cache yet. */
  let pending: number | undefined
  let sampling = greedy
  let seed = 0
  let history = createTokenHistory([])
  let rankCount = 0

  function createEmptyCache(): Cache {
    return new Map([
      ...caches.map((input) => [input.past, createCacheTensor(input, 0)] as const),
      ...fixedStates.map(({ past, type, dims }) => [past, createZeros(type, dims)] as const),
    ])
  }

  function createCacheTensor(input: CacheInput, length: number): Tensor {
    return createZeros(input.type, shapeCache(input, length))
  }

  function createZeros(type: CacheInput['type'], dims: readonly number[]): Tensor {
    const size = countElements(dims)
    return new Tensor(type, type === 'float16' ? new Uint16Array(size) : new Float32Array(size), dims)
  }

  /** Creates the part of a table that a sequence of `length` tokens needs, since ONNX Runtime copies it in each run. */
  function createRotaryTable(tables: RotaryTables, length: number): Tensor {
    const { type, width } = tables
    const { buffer } = chooseTable(tables, prefillRules.rotarySwitch, length)
    const rowCount = buffer.byteLength / (width * countElementBytes(type))
    const rows = Math.min(length, rowCount)
    const data =
      type === 'float16'
        ? new Uint16Array(buffer, 0, rows * width)
        : new Float32Array(buffer, 0, rows * width)
    return new Tensor(type, data, [rows, width])
  }

  /** Creates the inputs of a run: those for the tokens, the rotary tables, and the states in `cache`. */
  function createFeeds(newIds: readonly number[]): Record<string, Tensor> {
    const total = ids.length + newIds.length
    return {
      ...createTokenFeeds(newIds, ids.length),
      ...Object.fromEntries(rotaryTables.map((tables) => [tables.input, createRotaryTable(tables, total)])),
      ...Object.fromEntries(cache),
    }
  }

  /** Computes `newIds` in one run, or in several runs if there are checkpoints between the first and the last token. */
  async function prefill(newIds: readonly number[]): Promise<void> {
    const start = ids.length
    for (const stop of splitAtCheckpoints(checkpoints, start, start + newIds.length))
      await run(newIds.slice(ids.length - start, stop - start))
  }

  async function run(newIds: readonly number[]): Promise<void> {
    hasLogits = false
    const outputs = await session.run(createFeeds(newIds))
    const newCache = new Map(states.map(({ past, present }) => [past, readOutput(outputs, present)]))
    if (checkpoints.includes(ids.length)) park({ ids, cache })
    else disposeCache(cache)
    cache = newCache
    ids = [...ids, ...markTokens(prefillRules, newIds, ids.length + newIds.length)]
    pending = undefined
    logits = await readLastLogits(readOutput(outputs, logitsOutput))
    hasLogits = true
  }

  async function next(position: number, findMask?: FindMask): Promise<number> {
    if (pending !== undefined) await run([pending])
    const id = sampleToken(logits, sampling, history, seed, position, await findMask?.())
    if (id === noToken) throw createInvalidLogitsError()
    history.add(id)
    pending = id
    return id
  }

  function recall(target: readonly number[]): number {
    pending = undefined
    const running = { ids, cache }
    const longest = conversations.take(target, countReusable(running, target)) ?? running
    const kept = countReusable(longest, target)
    hasLogits &&= longest === running && kept === ids.length
    ids = longest.ids.slice(0, kept)
    if (kept === longest.ids.length) cache = longest.cache
    else cache = kept === 0 ? createEmptyCache() : truncateCache(longest, kept)
    for (const other of new Set([running, longest])) if (other.cache !== cache) parkOrFree(other)
    checkpoints = fixedStates.length > 0 && canSplitRuns ? chooseCheckpoints(kept, target.length) : []
    return kept
  }

  function recallLogits(target: readonly number[]): boolean {
    const isSame = hasLogits && ids.length === target.length && countCommonPrefix(ids, target) === ids.length
    if (isSame) pending = undefined
    return isSame
  }

  function copyStates(target: readonly number[]): StateCopy {
    recall(fixedStates.length > 0 ? cutToCheckpoint(target) : target)
    const copied = cache
    return {
      ids,
      sizes: measureStates({ caches, fixedStates }, ids.length),
      async *read() {
        for (const { past } of states) {
          // On a GPU, this copies. No tensor is changed after it was computed.
          const { buffer, byteOffset, byteLength } = (await copied
            .get(past)!
            .getData()) as Float32Array<ArrayBuffer>
          yield new Uint8Array(buffer, byteOffset, byteLength)
        }
      },
    }
  }

  function restoreStates(copiedIds: readonly number[], pieces: readonly Uint8Array<ArrayBuffer>[]): void {
    const running = { ids, cache }
    cache = new Map(
      states.map((input, index) => {
        const dims = 'dims' in input ? input.dims : shapeCache(input, copiedIds.length)
        return [input.past, createTensor(input.type, pieces[index]!, dims)]
      }),
    )
    ids = copiedIds
    pending = undefined
    hasLogits = false
    parkOrFree(running)
  }

  function createTensor(
    type: CacheInput['type'],
    bytes: Uint8Array<ArrayBuffer>,
    dims: readonly number[],
  ): Tensor {
    const { buffer, byteOffset, byteLength } = bytes
    const count = byteLength / countElementBytes(type)
    return type === 'float16'
      ? new Tensor(type, new Uint16Array(buffer, byteOffset, count), dims)
      : new Tensor(type, new Float32Array(buffer, byteOffset, count), dims)
  }

  /**
   * Returns how many of the first tokens of `target` a conversation can reuse. Any conversation can be continued at its
   * end, but not every cache can be truncated to a prefix.
   */
  function countReusable(conversation: Prefix, target: readonly number[]): number {
    const common = countCommonPrefix(conversation.ids, target)
    if (common === conversation.ids.length) return common
    // This code cannot truncate a tensor in GPU memory.
    const canTruncate =
      fixedStates.length === 0 && [...conversation.cache.values()].every(({ location }) => location === 'cpu')
    return canTruncate ? common : 0
  }

  /** Parks a conversation, or frees it if fewer than `worthParkingTokens` of its tokens are missing in the current one. */
  function parkOrFree(other: Prefix): void {
    const isWorthIt = other.ids.length - countCommonPrefix(other.ids, ids) >= worthParkingTokens
    if (isWorthIt) park(other)
    else disposeCache(other.cache)
  }

  function park(conversation: Prefix): void {
    const sizeBytes = countCacheBytes(caches, conversation.ids.length) + countFixedStateBytes(fixedStates)
    conversations.park({ ...conversation, sizeBytes })
  }

  /** Returns a copy of the first `length` tokens of each head. */
  function truncateCache(whole: Prefix, length: number): Cache {
    return new Map(
      caches.map((input) => {
        const truncated = createCacheTensor(input, length)
        const from = whole.cache.get(input.past)
        if (from) copyHeads(input, from, whole.ids.length, truncated, length)
        return [input.past, truncated]
      }),
    )
  }

  await prefill(Array.from({ length: warmUpTokens }, (_, index) => index))
  await next(0)
  await next(1)
  recall([])
  conversations.clear()

  return {
    execution: 'growing-cache',
    lost,
    prefillChunkTokens,
    prefillRules,
    recall,
    recallLogits,
    countReusable: (target) =>
      Math.max(countReusable({ ids, cache }, target), conversations.countReusable(target)),
    stateFormat: JSON.stringify([graphHash, caches, fixedStates]),
    stateSchema: { caches, fixedStates },
    copyStates,
    restoreStates,
    prefill,
    startAnswer(newSampling, newSeed, promptIds, answerIds, count = 0) {
      rankCount = count
      sampling = newSampling
      seed = newSeed
      history = createTokenHistory(promptIds)
      for (const id of answerIds) history.add(id)
    },
    next: (position, _, findMask) => next(position, findMask),
    append(appended) {
      for (const id of appended) history.add(id)
    },
    readRanking: () => rankLogits(logits, pending!, rankCount),
    readLogits: () => Promise.resolve(logits),
    async release() {
      disposeCache(cache)
      conversations.clear()
      await session.release()
    },
  }
}

/** Copies the first `length` tokens of each head between tensors on the CPU. */
function copyHeads(input: CacheInput, from: Tensor, fromLength: number, to: Tensor, length: number): void {
  // Both tensors have the type of the cache: `createCacheTensor` or ONNX Runtime creates them.
  const [source, target] = [from.data as Float32Array, to.data as Float32Array]
  for (let head = 0; head < input.heads; head += 1) {
    const start = head * fromLength * input.headSize
    target.set(source.subarray(start, start + length * input.headSize), head * length * input.headSize)
  }
}

/** The states of a conversation: input name → tensor. */
type Cache = ReadonlyMap<string, Tensor>

/** A cache, and the tokens that are computed into it. */
type Prefix = Pick<Conversation<Cache>, 'ids' | 'cache'>

function disposeCache(cache: Cache): void {
  for (const tensor of cache.values()) tensor.dispose()
}

function readOutput(outputs: InferenceSession.OnnxValueMapType, name: string): Tensor {
  const output = outputs[name]
  if (!output)
    throw new RivuletError(
      'generation-failed',
      `ONNX Runtime did not return the output "${name}" of the model.`,
    )
  // All outputs of a decoder are tensors: `readStateSchema` has checked their names.
  return output as Tensor
}

/**
 * Returns the logits of the last position, and frees `logits`.
 * @param logits [1, length, vocabulary]
 */
async function readLastLogits(logits: Tensor): Promise<Float32Array> {
  const vocabulary = logits.dims.at(-1) ?? 0
  const data = await logits.getData()
  logits.dispose()
  const last = (data as Float32Array | Uint16Array).slice(-vocabulary)
  return last instanceof Uint16Array ? Float32Array.from(last, decodeFloat16) : Float32Array.from(last)
}
