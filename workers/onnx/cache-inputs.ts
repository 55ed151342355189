import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { sequenceInputs } from './rewrite-graph.js'

/** A decoder's KV input, as the graph declares it: [batch, heads, length, head size]. */
export interface CacheInput {
  /** `past_key_values.N.key`, or `.value` */
  readonly past: string
  /** `present.N.key`, or `.value`: the output that is the next step's past. */
  readonly present: string
  readonly type: 'float32' | 'float16'
  readonly heads: number
  readonly headSize: number
}

const bytesPerElement = { float32: 4, float16: 2 } satisfies Record<CacheInput['type'], number>

/** What one head holds of one token. */
export function countTokenBytes({ type, headSize }: CacheInput): number {
  return headSize * bytesPerElement[type]
}

/** What a whole cache of `length` tokens takes. */
export function countCacheBytes(inputs: readonly CacheInput[], length: number): number {
  return inputs.reduce((sum, input) => sum + length * input.heads * countTokenBytes(input), 0)
}

const knownInputs = new Set<string>([
  'input_ids',
  'attention_mask',
  'position_ids',
  'num_logits_to_keep',
  sequenceInputs.lastIndex,
  sequenceInputs.total,
])

/**
 * The KV inputs of a Hugging Face style decoder, original or rewritten.
 * @throws RivuletError `model-unsupported`, naming the input or output that is not one of a decoder's
 */
export function readCacheInputs(session: InferenceSession): CacheInput[] {
  const unknown = session.inputNames.find((name) => !knownInputs.has(name) && !isCacheInput(name))
  if (unknown !== undefined) throw unsupported(`it has an input "${unknown}"`)
  if (!session.inputNames.includes('input_ids')) throw unsupported('it has no input "input_ids"')
  const caches = session.inputMetadata.filter(({ name }) => isCacheInput(name))
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

function isCacheInput(name: string): boolean {
  return /^past_key_values\.\d+\.(key|value)$/.test(name)
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
