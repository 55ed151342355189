import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import type { CacheInput } from './cache-inputs.js'
import { notANumber, type Decoder } from './decoder.js'
import { decodeFloat16 } from './float16.js'
import { sequenceInputs } from './rewrite-graph.js'
import { createTokenHistory, greedy, sampleToken, type Sampling } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'

/** What is computed once so that the first request need not wait for it. */
const warmUpTokens = 32

/**
 * A decoder for any graph on any device: the KV cache is a new tensor at each step, and the logits come back to be
 * sampled here. On WASM that is the whole story; on a GPU it is the way for graphs that could not be rewritten.
 */
export async function createPlainDecoder(
  { Tensor }: OnnxRuntime,
  session: InferenceSession,
  caches: readonly CacheInput[],
): Promise<Decoder> {
  const inputNames = new Set(session.inputNames)
  let cache = createEmptyCache()
  let ids: number[] = []
  let logits: Float32Array = new Float32Array()
  /** Chosen, but not in the cache yet. */
  let pending: number | undefined
  let sampling = greedy
  let seed = 0
  let history = createTokenHistory([])

  function createEmptyCache(): Map<string, Tensor> {
    return new Map(caches.map((input) => [input.past, createCacheTensor(input, 0)]))
  }

  function createCacheTensor({ type, heads, headSize }: CacheInput, length: number): Tensor {
    const size = heads * length * headSize
    const data = type === 'float16' ? new Uint16Array(size) : new Float32Array(size)
    return new Tensor(type, data, [1, heads, length, headSize])
  }

  function replaceCache(newCache: Map<string, Tensor>): void {
    for (const tensor of cache.values()) tensor.dispose()
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
    ids.push(...newIds)
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

  function rewind(length: number): number {
    pending = undefined
    if (length >= ids.length) return ids.length
    const canCut = [...cache.values()].every(({ location }) => location === 'cpu')
    const kept = canCut ? length : 0
    replaceCache(new Map(caches.map((input) => [input.past, cutTensor(input, kept)])))
    ids = ids.slice(0, kept)
    return kept
  }

  /** The first `length` tokens of each head. */
  function cutTensor(input: CacheInput, length: number): Tensor {
    const cut = createCacheTensor(input, length)
    const whole = cache.get(input.past)
    if (length === 0 || !whole) return cut
    const headLength = ids.length * input.headSize
    const cutLength = length * input.headSize
    // Both are of the cache's type: `createCacheTensor` made the one, ONNX Runtime the other.
    const [from, to] = [whole.data as Float32Array, cut.data as Float32Array]
    for (let head = 0; head < input.heads; head += 1) {
      to.set(from.subarray(head * headLength, head * headLength + cutLength), head * cutLength)
    }
    return cut
  }

  await prefill(Array.from({ length: warmUpTokens }, (_, index) => index))
  await next(0)
  await next(1)
  rewind(0)

  return {
    execution: 'growing-cache',
    get cachedIds() {
      return ids
    },
    rewind,
    prefill,
    startAnswer(newSampling: Sampling, newSeed: number) {
      sampling = newSampling
      seed = newSeed
      history = createTokenHistory(ids)
    },
    next,
    async release() {
      replaceCache(new Map())
      await session.release()
    },
  }
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
