import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxRuntime } from './session.js'

/** A session with the KV cache of one conversation. */
export interface Decoder {
  /** Tokens in the KV cache. */
  readonly length: number
  /**
   * Runs the model over `ids` behind what the cache holds, and adds them to it.
   * @param ids at least one token
   * @returns the logits behind the last of them, [vocabulary]; the caller's to change
   */
  forward(ids: readonly number[]): Promise<Float32Array>
  /** Empties the cache. */
  reset(): void
  /** Frees the cache and the session. */
  release(): Promise<void>
}

/** A decoder's KV input, as the graph declares it: [batch, heads, past length, head size]. */
interface CacheInput {
  /** `past_key_values.N.key`, or `.value` */
  readonly past: string
  /** `present.N.key`, or `.value`: the output that is the next step's past. */
  readonly present: string
  readonly type: 'float32' | 'float16'
  readonly heads: number
  readonly headSize: number
}

/**
 * Wraps a session of a Hugging Face style decoder.
 * @throws RivuletError `model-unsupported`, naming the input or output that is not one of a decoder's
 */
export function createDecoder({ Tensor }: OnnxRuntime, session: InferenceSession): Decoder {
  const caches = readCacheInputs(session)
  const hasPositionIds = session.inputNames.includes('position_ids')
  const hasLogitsCount = session.inputNames.includes('num_logits_to_keep')
  let cache = createEmptyCache()
  let length = 0

  function createEmptyCache(): Map<string, Tensor> {
    return new Map(
      caches.map(({ past, type, heads, headSize }) => {
        const data = type === 'float16' ? new Uint16Array(0) : new Float32Array(0)
        return [past, new Tensor(type, data, [1, heads, 0, headSize])]
      }),
    )
  }

  function createInt64(values: readonly number[], dims: readonly number[]): Tensor {
    return new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
  }

  function replaceCache(next: Map<string, Tensor>): void {
    for (const tensor of cache.values()) tensor.dispose()
    cache = next
  }

  return {
    get length() {
      return length
    },
    async forward(ids) {
      const total = length + ids.length
      const feeds: Record<string, Tensor> = {
        ...Object.fromEntries(cache),
        input_ids: createInt64(ids, [1, ids.length]),
        attention_mask: createInt64(
          Array.from({ length: total }, () => 1),
          [1, total],
        ),
      }
      if (hasPositionIds) {
        const positions = ids.map((_, index) => length + index)
        feeds.position_ids = createInt64(positions, [1, ids.length])
      }
      if (hasLogitsCount) feeds.num_logits_to_keep = createInt64([1], [])
      const outputs = await session.run(feeds)
      replaceCache(new Map(caches.map(({ past, present }) => [past, readOutput(outputs, present)])))
      length = total
      return readLastLogits(readOutput(outputs, 'logits'))
    },
    reset() {
      replaceCache(createEmptyCache())
      length = 0
    },
    async release() {
      for (const tensor of cache.values()) tensor.dispose()
      await session.release()
    },
  }
}

const knownInputs =
  /^(input_ids|attention_mask|position_ids|num_logits_to_keep|past_key_values\.\d+\.(key|value))$/

function readCacheInputs(session: InferenceSession): CacheInput[] {
  const unknown = session.inputNames.find((name) => !knownInputs.test(name))
  if (unknown !== undefined) throw unsupported(`it has an input "${unknown}"`)
  for (const name of ['input_ids', 'attention_mask']) {
    if (!session.inputNames.includes(name)) throw unsupported(`it has no input "${name}"`)
  }
  const caches = session.inputMetadata.filter(({ name }) => name.startsWith('past_key_values.'))
  if (caches.length === 0) throw unsupported('it has no KV cache (inputs "past_key_values.N.key")')
  for (const name of ['logits', ...caches.map((cache) => toPresentName(cache.name))]) {
    if (!session.outputNames.includes(name)) throw unsupported(`it has no output "${name}"`)
  }
  return caches.map((input) => {
    const [, heads, , headSize] = input.isTensor ? input.shape : []
    const type = input.isTensor ? input.type : undefined
    if (typeof heads !== 'number' || typeof headSize !== 'number') {
      throw unsupported(`"${input.name}" is not of the shape [batch, heads, length, head size]`)
    }
    if (type !== 'float32' && type !== 'float16') throw unsupported(`"${input.name}" is of type ${type}`)
    return { past: input.name, present: toPresentName(input.name), type, heads, headSize }
  })
}

function toPresentName(past: string): string {
  return past.replace('past_key_values.', 'present.')
}

function unsupported(reason: string): RivuletError {
  return new RivuletError(
    'model-unsupported',
    `This graph is not a text decoder that onnx() can run: ${reason}.`,
  )
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

/** IEEE 754 half precision to a number, where the platform has no `Float16Array`. */
export function decodeFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}
