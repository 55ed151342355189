import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { countCacheBytes, type CacheInput } from './cache-inputs.js'
import { countCommon, createConversations, worthParkingTokens, type Conversation } from './conversations.js'
import { notANumber, type Decoder } from './decoder.js'
import { decodeFloat16 } from './float16.js'
import { sequenceInputs } from './rewrite-graph.js'
import { createTokenHistory, greedy, sampleToken } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'

/** The logits of as many positions may come back where the graph could not be rewritten. */
const prefillChunkTokens = 128

/** What is computed once so that the first request need not wait for it. */
const warmUpTokens = 20

/**
 * A decoder for any graph on any device: the KV cache is a new tensor at each step, and the logits come back to be
 * sampled here. On WASM that is the whole story; on a GPU it is the way for graphs that could not be rewritten.
 */
export async function createPlainDecoder(
  { Tensor }: OnnxRuntime,
  session: InferenceSession,
  caches: readonly CacheInput[],
  conversationCacheBytes: number,
  lost: Promise<string> = new Promise(() => {}),
): Promise<Decoder> {
  const inputNames = new Set(session.inputNames)
  const conversations = createConversations<Cache>(conversationCacheBytes, disposeCache)
  let cache = createEmptyCache()
  let ids: readonly number[] = []
  let logits: Float32Array = new Float32Array()
  /** Chosen, but not in the cache yet. */
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

  /** The inputs that this graph has, of all that decoders have. */
  function createFeeds(newIds: readonly number[]): Record<string, Tensor> {
    const total = ids.length + newIds.length
    const all: Record<string, () => Tensor> = {
      input_ids: () => createInt64(newIds, [1, newIds.length]),
      attention_mask: () =>
        createInt64(
          Array.from({ length: total }, () => 1),
          [1, total],
        ),
      position_ids: () =>
        createInt64(
          newIds.map((_, index) => ids.length + index),
          [1, newIds.length],
        ),
      num_logits_to_keep: () => createInt64([1], []),
      [sequenceInputs.lastIndex]: () => createInt32(total - 1, [1, 1]),
      [sequenceInputs.total]: () => createInt32(total, [1]),
    }
    const wanted = Object.entries(all).filter(([name]) => inputNames.has(name))
    return {
      ...Object.fromEntries(wanted.map(([name, make]) => [name, make()])),
      ...Object.fromEntries(cache),
    }
  }

  async function prefill(newIds: readonly number[]): Promise<void> {
    const outputs = await session.run(createFeeds(newIds))
    replaceCache(new Map(caches.map(({ past, present }) => [past, readOutput(outputs, present)])))
    ids = [...ids, ...newIds]
    pending = undefined
    logits = await readLastLogits(readOutput(outputs, 'logits'))
  }

  async function next(position: number): Promise<number> {
    if (pending !== undefined) await prefill([pending])
    const id = sampleToken(logits, sampling, history, seed, position)
    if (id === noToken) throw notANumber()
    history.add(id)
    pending = id
    return id
  }

  function recall(target: readonly number[]): number {
    pending = undefined
    const running = { ids, cache }
    const earlier = conversations.take(target, countCommon(ids, target))
    const longest = earlier ?? running
    const common = countCommon(longest.ids, target)
    const isWhole = common === longest.ids.length
    // What lies in GPU memory cannot be cut from here.
    const kept =
      isWhole || [...longest.cache.values()].every(({ location }) => location === 'cpu') ? common : 0
    ids = longest.ids.slice(0, kept)
    cache = isWhole ? longest.cache : cutCache(longest, kept)
    for (const left of new Set([running, longest])) if (left.cache !== cache) leave(left)
    return kept
  }

  /** Parks a conversation, or drops it where it has hardly more than the running one. */
  function leave(left: Pick<Conversation<Cache>, 'ids' | 'cache'>): void {
    const isWorthIt = left.ids.length - countCommon(left.ids, ids) >= worthParkingTokens
    if (isWorthIt) conversations.park({ ...left, sizeBytes: countCacheBytes(caches, left.ids.length) })
    else disposeCache(left.cache)
  }

  /** A copy of the first `length` tokens of each head. */
  function cutCache(whole: Pick<Conversation<Cache>, 'ids' | 'cache'>, length: number): Cache {
    return new Map(
      caches.map((input) => {
        const cut = createCacheTensor(input, length)
        const from = whole.cache.get(input.past)
        if (from && length > 0) copyHeads(input, from, whole.ids.length, cut, length)
        return [input.past, cut]
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
    recall,
    prefill,
    startAnswer(newSampling, newSeed, promptIds, saidIds) {
      sampling = newSampling
      seed = newSeed
      history = createTokenHistory(promptIds)
      for (const id of saidIds) history.add(id)
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
  // Both are of the cache's type: `createCacheTensor` made the one, ONNX Runtime the other.
  const [source, target] = [from.data as Float32Array, to.data as Float32Array]
  for (let head = 0; head < input.heads; head += 1) {
    const start = head * fromLength * input.headSize
    target.set(source.subarray(start, start + length * input.headSize), head * length * input.headSize)
  }
}

/** past → tensor */
type Cache = Map<string, Tensor>

function disposeCache(cache: Cache): void {
  for (const tensor of cache.values()) tensor.dispose()
}

function readOutput(outputs: InferenceSession.OnnxValueMapType, name: string): Tensor {
  const output = outputs[name]
  if (!output) throw new RivuletError('generation-failed', `ONNX Runtime returned no "${name}".`)
  // A decoder's outputs are tensors: `readCacheInputs` has seen their names, and ONNX Runtime made them.
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
