import type { Tensor } from 'onnxruntime-web'
import type { TokenHistory, Sampling } from './sampler.js'
import type { CacheInput } from './state-schema.js'

/** The states of one or several conversations on the CPU or the GPU: input name → tensor. */
export type Cache = ReadonlyMap<string, Tensor>

/** The tokens that are computed into a cache, marked by `markTokens`. */
export interface Prefix {
  readonly ids: readonly number[]
  readonly cache: Cache
  /** The conversation's index in the tensors of `cache`. @default 0 */
  readonly index?: number
}

/** A conversation, and how its tokens are sampled. */
export interface Row {
  ids: readonly number[]
  cache: Cache
  index: number
  /** The lengths of the current prompt at which the states are parked, so that later prompts can continue there. */
  checkpoints: readonly number[]
  /** The logits after the newest computed token, [vocabulary]. */
  logits: Float32Array
  /** True if `logits` are those after the last token of `ids`. */
  hasLogits: boolean
  /** The token that was sampled, but is not computed into the cache yet. */
  pending: number | undefined
  sampling: Sampling
  seed: number
  history: TokenHistory
  rankCount: number
}

/** True if the cache also has other conversations, or room for more tokens than it has. */
export function isShared({ cache }: Prefix): boolean {
  const [tensor] = cache.values()
  return tensor !== undefined && tensor.dims[0] !== 1
}

/** A conversation in a cache tensor on the CPU, [conversations, heads, length, head size]. */
interface TensorRow {
  readonly tensor: Tensor
  readonly index: number
}

/** Copies the first `length` tokens of each head between tensors on the CPU. */
export function copyHeads(input: CacheInput, from: TensorRow, to: TensorRow, length: number): void {
  const { heads, headSize } = input
  const [fromLength, toLength] = [readLength(from), readLength(to)]
  // Both tensors have the type of the cache: `createCacheTensor` or ONNX Runtime creates them.
  const [source, target] = [from.tensor.data as Float32Array, to.tensor.data as Float32Array]
  for (let head = 0; head < heads; head += 1) {
    const start = (from.index * heads + head) * fromLength * headSize
    const tokens = source.subarray(start, start + length * headSize)
    target.set(tokens, (to.index * heads + head) * toLength * headSize)
  }
}

function readLength({ tensor }: TensorRow): number {
  return tensor.dims.at(-2) ?? 0
}
