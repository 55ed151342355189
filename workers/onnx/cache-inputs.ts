import type { InferenceSession } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import {
  formatPresentName,
  graphInputs,
  logitsOutput,
  parsePastName,
  pastNamePattern,
} from './graph-names.js'
import type { CacheSizes } from './model-config.js'

/** An input of a decoder's KV cache: [batch, heads, length, head size]. */
export interface CacheInput {
  /** The name of the input. */
  readonly past: string
  /** The name of the output that is the input of the next step. */
  readonly present: string
  readonly type: 'float32' | 'float16'
  readonly heads: number
  readonly headSize: number
}

const bytesPerElement = { float32: 4, float16: 2 } satisfies Record<CacheInput['type'], number>

/** The size of one token in one head, in bytes. */
export function countTokenBytes({ type, headSize }: CacheInput): number {
  return headSize * bytesPerElement[type]
}

/** The size of a whole cache of `length` tokens, in bytes. */
export function countCacheBytes(inputs: readonly CacheInput[], length: number): number {
  return inputs.reduce((sum, input) => sum + length * input.heads * countTokenBytes(input), 0)
}

const knownInputs = new Set<string>(Object.values(graphInputs))

/**
 * Reads the KV cache inputs of a decoder with Hugging Face's names, original or rewritten.
 * @param sizes from `config.json`, for a graph that does not declare them: onnxruntime-genai's model builder 0.15.2 and
 *   later gives the head size a name (`kv_cache_dim`) instead of a number
 * @throws RivuletError `model-unsupported`, naming the input or output that a decoder does not have; `model-invalid` if
 *   `sizes` are needed and contradict the graph
 */
export function readCacheInputs(session: InferenceSession, sizes: CacheSizes): CacheInput[] {
  const unknown = session.inputNames.find((name) => !knownInputs.has(name) && !parsePastName(name))
  if (unknown !== undefined) throw unsupported(`it has the unknown input "${unknown}"`)
  if (!session.inputNames.includes(graphInputs.tokenIds))
    throw unsupported(`it has no input "${graphInputs.tokenIds}"`)
  const caches = session.inputMetadata.flatMap((input) => {
    const name = parsePastName(input.name)
    return name ? [{ input, present: formatPresentName(name) }] : []
  })
  if (caches.length === 0) throw unsupported(`it has no KV cache (inputs "${pastNamePattern}")`)
  for (const name of [logitsOutput, ...caches.map(({ present }) => present)]) {
    if (!session.outputNames.includes(name)) throw unsupported(`it has no output "${name}"`)
  }
  return caches.map(({ input, present }) => {
    const type = input.isTensor ? input.type : undefined
    const { heads, headSize } = readShape(input, sizes)
    if (type !== 'float32' && type !== 'float16')
      throw unsupported(`the type of "${input.name}" is ${type}, not float32 or float16`)
    return { past: input.name, present, type, heads, headSize }
  })
}

function readShape(input: InferenceSession.ValueMetadata, sizes: CacheSizes) {
  const shape = input.isTensor ? input.shape : []
  const [, declaredHeads, , declaredSize] = shape
  if (typeof declaredHeads === 'number' && typeof declaredSize === 'number')
    return { heads: declaredHeads, headSize: declaredSize }
  if (shape.length !== 4)
    throw unsupported(`the shape of "${input.name}" is not [batch, heads, length, head size]`)
  const read = (name: string, declared: unknown, configured: number | undefined) => {
    if (typeof declared !== 'number' && configured === undefined)
      throw unsupported(`neither the graph nor config.json declares the ${name} of "${input.name}"`)
    // A config of another model would also have a wrong size for what the graph leaves open.
    if (typeof declared === 'number' && configured !== undefined && declared !== configured)
      throw new RivuletError(
        'model-invalid',
        `config.json does not match the graph: the ${name} of "${input.name}" is ${declared}, not ${configured}. Use the config.json that was exported with the graph.`,
      )
    return typeof declared === 'number' ? declared : configured!
  }
  return {
    heads: read('number of heads', declaredHeads, sizes.heads),
    headSize: read('head size', declaredSize, sizes.headSize),
  }
}

function unsupported(reason: string): RivuletError {
  return new RivuletError(
    'model-unsupported',
    `onnx() cannot generate text with this model: ${reason}. Use a text-generation model from onnx-community.`,
  )
}
