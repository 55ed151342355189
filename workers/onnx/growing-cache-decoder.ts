import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { countCacheBytes, type CacheInput } from './cache-inputs.js'
import {
  countCommonPrefix,
  createConversations,
  worthParkingTokens,
  type Conversation,
} from './conversations.js'
import { createInvalidLogitsError, type Decoder } from './decoder.js'
import { decodeFloat16 } from './float16.js'
import { graphInputs, logitsOutput } from './graph-names.js'
import { markTokens, type PrefillRules } from './prefill-rules.js'
import { createTokenHistory, greedy, sampleToken } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'

/** Small, since a graph that could not be rewritten returns the logits of all these positions. */
const prefillChunkTokens = 128

/** Tokens to compute at load, so that the first request does not wait for the warm-up. */
const warmUpTokens = 20

/**
 * Creates a decoder for any graph on any device: each step creates new KV cache tensors, and the logits are sampled on the
 * CPU. It is used on WASM, and on a GPU for graphs that could not be rewritten.
 */
export async function createGrowingCacheDecoder(
  { Tensor }: OnnxRuntime,
  session: InferenceSession,
  caches: readonly CacheInput[],
  conversationCacheBytes: number,
  prefillRules: PrefillRules,
  lost: Promise<string> = new Promise(() => {}),
): Promise<Decoder> {
  const inputNames = new Set(session.inputNames)
  const conversations = createConversations<Cache>(conversationCacheBytes, disposeCache)
  let cache = createEmptyCache()
  /** Computed into `cache`, marked by `markTokens`. */
  let ids: readonly number[] = []
  let logits: Float32Array = new Float32Array()
  /** Sampled, but not yet computed into the cache. */
  let pending: number | undefined
  let sampling = greedy
  let seed = 0
  let history = createTokenHistory([])

  function createEmptyCache(): Cache {
    return new Map(caches.map((input) => [input.past, createCacheTensor(input, 0)]))
  }

  function createCacheTensor({ type, heads, headSize }: CacheInput, length: number): Tensor {
    const size = heads * length * headSize
    const data = type === 'float16' ? new Uint16Array(size) : new Float32Array(size)
    return new Tensor(type, data, [1, heads, length, headSize])
  }

  function replaceCache(newCache: Cache): void {
    disposeCache(cache)
    cache = newCache
  }

  const createInt64 = (values: readonly number[], dims: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
  const createInt32 = (value: number, dims: readonly number[]) =>
    new Tensor('int32', Int32Array.of(value), dims)

  /** Creates the known inputs that this graph declares. */
  function createFeeds(newIds: readonly number[]): Record<string, Tensor> {
    const total = ids.length + newIds.length
    const all: Record<string, () => Tensor> = {
      [graphInputs.tokenIds]: () => createInt64(newIds, [1, newIds.length]),
      [graphInputs.attentionMask]: () =>
        createInt64(
          Array.from({ length: total }, () => 1),
          [1, total],
        ),
      [graphInputs.positionIds]: () =>
        createInt64(
          newIds.map((_, index) => ids.length + index),
          [1, newIds.length],
        ),
      [graphInputs.logitsToKeep]: () => createInt64([1], []),
      [graphInputs.lastIndex]: () => createInt32(total - 1, [1, 1]),
      [graphInputs.totalLength]: () => createInt32(total, [1]),
    }
    const wanted = Object.entries(all).filter(([name]) => inputNames.has(name))
    return {
      ...Object.fromEntries(wanted.map(([name, create]) => [name, create()])),
      ...Object.fromEntries(cache),
    }
  }

  async function prefill(newIds: readonly number[]): Promise<void> {
    const outputs = await session.run(createFeeds(newIds))
    replaceCache(new Map(caches.map(({ past, present }) => [past, readOutput(outputs, present)])))
    ids = [...ids, ...markTokens(prefillRules, newIds, ids.length + newIds.length)]
    pending = undefined
    logits = await readLastLogits(readOutput(outputs, logitsOutput))
  }

  async function next(position: number): Promise<number> {
    if (pending !== undefined) await prefill([pending])
    const id = sampleToken(logits, sampling, history, seed, position)
    if (id === noToken) throw createInvalidLogitsError()
    history.add(id)
    pending = id
    return id
  }

  function recall(target: readonly number[]): number {
    pending = undefined
    const running = { ids, cache }
    const earlier = conversations.take(target, countCommonPrefix(ids, target))
    const longest = earlier ?? running
    const common = countCommonPrefix(longest.ids, target)
    const isWhole = common === longest.ids.length
    // A tensor in GPU memory cannot be truncated from here.
    const kept =
      isWhole || [...longest.cache.values()].every(({ location }) => location === 'cpu') ? common : 0
    ids = longest.ids.slice(0, kept)
    cache = isWhole ? longest.cache : truncateCache(longest, kept)
    for (const other of new Set([running, longest])) if (other.cache !== cache) parkOrFree(other)
    return kept
  }

  /** Parks a conversation, or frees it if it has hardly more tokens than the current one. */
  function parkOrFree(other: Pick<Conversation<Cache>, 'ids' | 'cache'>): void {
    const isWorthIt = other.ids.length - countCommonPrefix(other.ids, ids) >= worthParkingTokens
    if (isWorthIt) conversations.park({ ...other, sizeBytes: countCacheBytes(caches, other.ids.length) })
    else disposeCache(other.cache)
  }

  /** A copy of the first `length` tokens of each head. */
  function truncateCache(whole: Pick<Conversation<Cache>, 'ids' | 'cache'>, length: number): Cache {
    return new Map(
      caches.map((input) => {
        const truncated = createCacheTensor(input, length)
        const from = whole.cache.get(input.past)
        if (from && length > 0) copyHeads(input, from, whole.ids.length, truncated, length)
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
    prefill,
    startAnswer(newSampling, newSeed, promptIds, answerIds) {
      sampling = newSampling
      seed = newSeed
      history = createTokenHistory(promptIds)
      for (const id of answerIds) history.add(id)
    },
    next,
    readLogits: () => Promise.resolve(logits),
    async release() {
      replaceCache(new Map())
      conversations.clear()
      await session.release()
    },
  }
}

/** Copies the first `length` tokens of each head between tensors on the CPU. */
function copyHeads(input: CacheInput, from: Tensor, fromLength: number, to: Tensor, length: number): void {
  // Both have the type of the cache: `createCacheTensor` creates one, ONNX Runtime the other.
  const [source, target] = [from.data as Float32Array, to.data as Float32Array]
  for (let head = 0; head < input.heads; head += 1) {
    const start = head * fromLength * input.headSize
    target.set(source.subarray(start, start + length * input.headSize), head * length * input.headSize)
  }
}

/** Input name → tensor */
type Cache = Map<string, Tensor>

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
  // All outputs of a decoder are tensors: `readCacheInputs` has checked their names.
  return output as Tensor
}

/** @param logits [1, length, vocabulary] */
async function readLastLogits(logits: Tensor): Promise<Float32Array> {
  const vocabulary = logits.dims.at(-1) ?? 0
  const data = await logits.getData()
  logits.dispose()
  const last = (data as Float32Array | Uint16Array).slice(-vocabulary)
  return last instanceof Uint16Array ? Float32Array.from(last, decodeFloat16) : Float32Array.from(last)
}
