import { createStorage } from './fixed-cache.js'
import { decodeFloat16 } from './float16.js'
import { parsePastName } from './graph-names.js'
import { countTokenBytes, type CacheInput } from './state-schema.js'
import type { StepProbe } from './step-check.js'

/** An artificial KV cache for the tokens before a probe's. Layers of the same shape have the same content. */
export interface CacheContent {
  /** @returns a buffer with [heads, cached tokens, head size] */
  find(input: CacheInput): GPUBuffer
  destroy(): void
}

/** The number of different values in one head. */
const valueBlocks = 16

/** Creates the content of the caches before a probe. It is the same for the same probe. */
export function createCacheContent(
  device: GPUDevice,
  { cachedTokens, loudTokens }: Pick<StepProbe, 'cachedTokens' | 'loudTokens'>,
): CacheContent {
  const buffers = new Map<string, GPUBuffer>()

  function create(input: CacheInput, part: 'key' | 'value'): GPUBuffer {
    const { type, heads, headSize } = input
    const halves =
      part === 'key' ? drawKeys(heads * cachedTokens * headSize) : drawValues(input, cachedTokens, loudTokens)
    const buffer = createStorage(device, heads * cachedTokens * countTokenBytes(input))
    device.queue.writeBuffer(
      buffer,
      0,
      type === 'float16' ? halves : Float32Array.from(halves, decodeFloat16),
    )
    return buffer
  }

  return {
    find(input) {
      const part = parsePastName(input.past)?.part === 'key' ? 'key' : 'value'
      const name = [part, input.type, input.heads, input.headSize].join()
      const buffer = buffers.get(name) ?? create(input, part)
      buffers.set(name, buffer)
      return buffer
    },
    destroy() {
      for (const buffer of buffers.values()) buffer.destroy()
    },
  }
}

/** The number of different random values. A prime, so that the keys of the tokens differ. */
const poolSize = 16_381

/** Half-precision numbers with both signs, whose absolute values are from 0.5 to 1. */
const pool = Uint16Array.from({ length: poolSize }, (_, index) => {
  const hash = Math.imul(index + 1, 0x9e37_79b1) >>> 0
  const [sign, fraction] = [hash & 0x8000, (hash >>> 17) & 0x3ff]
  return sign | (0x0e << 10) | fraction
})

/** Multiplies half-precision numbers by a power of two. */
function scale(halves: Uint16Array, exponent: number): Uint16Array {
  return halves.map((half) => half + (exponent << 10))
}

/** Small, so that the attention weights are spread over all tokens. */
const smallKeys = scale(pool, -1)
/** Large, so that attention is a large part of the result. */
const values = scale(pool, 2)
const loudValues = scale(pool, 6)

function drawKeys(count: number): Uint16Array<ArrayBuffer> {
  const drawn = new Uint16Array(count)
  for (let start = 0; start < count; start += poolSize)
    drawn.set(smallKeys.subarray(0, Math.min(poolSize, count - start)), start)
  return drawn
}

/** Draws values that are equal for all tokens of a block, so that their weighted sum is not close to zero. */
function drawValues(
  { heads, headSize }: CacheInput,
  tokens: number,
  loudTokens: number,
): Uint16Array<ArrayBuffer> {
  const drawn = new Uint16Array(heads * tokens * headSize)
  const blockTokens = Math.ceil(tokens / valueBlocks)
  for (let head = 0; head < heads; head += 1) {
    for (let token = 0; token < tokens; token += 1) {
      const block = head * valueBlocks + Math.floor(token / blockTokens)
      const start = (block * headSize) % (poolSize - headSize)
      const source = token < loudTokens ? loudValues : values
      drawn.set(source.subarray(start, start + headSize), (head * tokens + token) * headSize)
    }
  }
  return drawn
}
