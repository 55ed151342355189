import { isHidden, readScores, unknownForm, type Scores, type ScoreSteps } from './attention-scores.js'
import {
  computePath,
  findComputedInput,
  keepingOperators,
  movingOperators,
  readUniform,
} from './data-flow.js'
import { mapProducers, type Producers } from './graph-edit.js'
import { formatPresentName, parsePastName, type CacheTensorName } from './graph-names.js'
import { readInteger } from './graph-operators.js'
import type { Probe, Probes } from './graph-probes.js'
import type { Values } from './graph-values.js'
import type { GraphProto, NodeProto } from './onnx_pb.js'
import { createValue } from './tensor-value.js'
import { tensorTypes } from './tensor-types.js'

/** One attention, as `GroupQueryAttention` computes it. */
export interface Attention {
  /** The product of probabilities and values. */
  readonly product: NodeProto
  /** The tensor with the queries, [1, heads, new tokens, head size]. */
  readonly query: string
  readonly key: CacheSource
  readonly value: CacheSource
  readonly heads: number
  readonly cacheHeads: number
  readonly headSize: number
  /** The factor of the product of queries and keys. */
  readonly scale: number
  readonly scores: Scores
}

/** A concatenation of the cache and the new tokens. */
interface CacheSource {
  readonly concat: NodeProto
  readonly past: string
  /** The tensor with the new tokens, [1, heads, new tokens, head size]. */
  readonly added: string
  readonly name: CacheTensorName
}

/**
 * Finds attention that is written out in operators, as in Optimum's exports, and that `GroupQueryAttention` (ONNX Runtime,
 * ContribOperators.md) can compute: Softmax(scale · Q · Kᵀ + mask) · V, where K and V are the concatenation of the cache and
 * the new tokens. The rotary embedding stays outside, before it.
 *
 * Exporters and their versions write the same attention in many ways. So this function follows the data from product to
 * product, and checks with `probes` what the nodes between them compute: which key and value each head reads, the scale, and
 * which tokens the mask hides.
 *
 * @returns all attentions of the graph; or the reason, if one is not exactly as in `GroupQueryAttention`
 */
export function findAttentions(graph: GraphProto, probes: Probes): readonly Attention[] | string {
  const producers = mapProducers(graph)
  const attentions: Attention[] = []
  for (const node of graph.node) {
    const attention = node.opType === 'MatMul' ? findAttention(node, producers, probes) : undefined
    if (typeof attention === 'string') return attention
    if (attention) attentions.push(attention)
  }
  const caches = graph.input.filter(({ name }) => parsePastName(name))
  const found = new Set(attentions.flatMap(({ key, value }) => [key.past, value.past]))
  return found.size > 0 && found.size === caches.length && found.size === 2 * attentions.length
    ? attentions
    : unknownForm
}

/**
 * Reads the attention whose product of probabilities and values is `product`.
 * @returns undefined if `product` does not multiply with cached values; the reason if the attention is not supported
 */
function findAttention(
  product: NodeProto,
  producers: Producers,
  probes: Probes,
): Attention | string | undefined {
  const { small } = probes
  const [probabilities = '', valueName = ''] = product.input
  const valuePath = followToCache(valueName, producers, small.values)
  if (valuePath?.source.name.part !== 'value') return undefined
  const softmax = followToSoftmax(probabilities, producers, small.values)
  const steps = softmax && followToProduct(softmax.input[0] ?? '', producers, small.values)
  if (!softmax || !steps) return unknownForm
  const [queryName = '', keyName = ''] = steps.product.input
  const keyPath = followToCache(keyName, producers, small.values)
  if (keyPath?.source.name.part !== 'key' || keyPath.source.name.layer !== valuePath.source.name.layer)
    return unknownForm
  const queryPath = followScale(queryName, producers, small.values)
  const query = small.values.get(queryPath.name)
  const [keys, values] = [keyPath, valuePath].map(({ source }) => small.values.get(source.added))
  const [batch, heads = 0, newTokens, headSize = 0] = query?.dims ?? []
  if (!query || !keys || !values || batch !== 1 || newTokens !== small.newTokens || query.dims.length !== 4)
    return unknownForm
  const cacheHeads = keys.dims[1] ?? 0
  const cacheDims = [1, cacheHeads, newTokens, headSize].join()
  if (keys.dims.join() !== cacheDims || values.dims.join() !== cacheDims || heads % cacheHeads !== 0)
    return unknownForm
  const isFloat = query.type === tensorTypes.float32 || query.type === tensorTypes.float16
  const pastType = small.values.get(keyPath.source.past)?.type
  if (!isFloat || [keys.type, values.type, pastType].some((type) => type !== query.type))
    return 'its attention mixes number types'
  const layout = { heads, cacheHeads, headSize }
  const keyScale = readHeads(keyPath, layout, true, small)
  const valueScale = readHeads(valuePath, layout, false, small)
  const axis = readInteger(softmax, 'axis', -1)
  const isLastAxis = axis === -1 || axis + 1 === small.values.get(softmax.input[0] ?? '')?.dims.length
  if (keyScale === undefined || valueScale !== 1 || !isLastAxis) return unknownForm
  const scores = readScores(steps, probes)
  if (typeof scores === 'string') return scores
  return {
    product,
    query: queryPath.name,
    key: keyPath.source,
    value: valuePath.source,
    ...layout,
    scale: queryPath.scale * keyScale * scores.scale,
    scores,
  }
}

/** The nodes from a cache to a tensor. */
interface CachePath {
  readonly source: CacheSource
  readonly nodes: readonly NodeProto[]
  readonly result: string
}

function followToCache(result: string, producers: Producers, values: Values): CachePath | undefined {
  const nodes: NodeProto[] = []
  for (let name = result; ;) {
    const node = producers.get(name)
    if (node?.opType === 'Concat') {
      const source = readCacheSource(node, values)
      return source && { source, nodes, result }
    }
    if (!node || !movingOperators.has(node.opType)) return undefined
    nodes.unshift(node)
    name = findComputedInput(node, values) ?? ''
  }
}

function readCacheSource(concat: NodeProto, values: Values): CacheSource | undefined {
  const [past = '', added = '', ...others] = concat.input
  const name = parsePastName(past)
  const rank = values.get(past)?.dims.length
  const axis = readInteger(concat, 'axis', 0)
  const isAlongTokens = rank === 4 && (axis === 2 || axis === -2)
  if (!name || others.length > 0 || !isAlongTokens || concat.output[0] !== formatPresentName(name))
    return undefined
  return { concat, past, added, name }
}

/** Follows the probabilities back to the softmax. */
function followToSoftmax(start: string, producers: Producers, values: Values): NodeProto | undefined {
  for (let name = start; ;) {
    const node = producers.get(name)
    // A damaged graph can have a cycle, in which no value is known.
    if (!node || !values.get(name)) return undefined
    if (node.opType === 'Softmax') return node
    const [first = '', second = '', third = ''] = node.input
    const condition = producers.get(first)
    // PyTorch replaces NaN by 0, for rows in which the mask hides all tokens. A causal mask has no such rows.
    const replacesNaN =
      node.opType === 'Where' &&
      condition?.opType === 'IsNaN' &&
      condition.input[0] === third &&
      values.get(second)?.read()?.[0] === 0
    if (!replacesNaN && !keepingOperators.has(node.opType)) return undefined
    name = replacesNaN ? third : first
  }
}

/** Follows the queries back over the nodes that scale them. */
function followScale(
  start: string,
  producers: Producers,
  values: Values,
): { readonly name: string; readonly scale: number } {
  let [name, scale] = [start, 1]
  for (;;) {
    const node = producers.get(name)
    const input = node && findComputedInput(node, values)
    if (!node || input === undefined) return { name, scale }
    const isReshaped = values.get(name)?.dims.length !== 4
    if (isReshaped && keepingOperators.has(node.opType)) name = input
    else if (node.opType === 'Mul' || (node.opType === 'Div' && node.input[0] === input)) {
      const factor = readUniform(values.get(node.input.find((other) => other !== input) ?? ''))
      if (factor === undefined) return { name, scale }
      scale *= node.opType === 'Mul' ? factor : 1 / factor
      name = input
    } else return { name, scale }
  }
}

/**
 * Checks that each query head reads the key or value head of its group, in the layout of a matrix product.
 * @returns the factor of all elements; undefined if the layout is another one
 */
function readHeads(
  { source, nodes, result }: CachePath,
  { heads, cacheHeads, headSize }: Pick<Attention, 'heads' | 'cacheHeads' | 'headSize'>,
  isTransposed: boolean,
  { values, newTokens, pastTokens }: Probe,
): number | undefined {
  const tokens = newTokens + pastTokens
  const dims = [1, cacheHeads, tokens, headSize]
  const concat = source.concat.output[0] ?? ''
  const type = values.get(source.past)?.type ?? 0
  const compute = (read: (index: number) => number) => {
    const elements = Float64Array.from({ length: cacheHeads * tokens * headSize }, (_, index) => read(index))
    return computePath(nodes, [concat, createValue(type, dims, () => elements)], values).get(result)
  }
  const scale = readUniform(compute(() => 1))
  const places = compute((index) => index + 1)
  const elements = places?.read()
  const matrix = isTransposed ? [headSize, tokens] : [tokens, headSize]
  if (scale === undefined || !elements || places?.dims.slice(-2).join() !== matrix.join()) return undefined
  if (elements.length !== heads * tokens * headSize) return undefined
  const group = heads / cacheHeads
  for (let head = 0; head < heads; head += 1)
    for (let token = 0; token < tokens; token += 1)
      for (let index = 0; index < headSize; index += 1) {
        const cacheHead = Math.floor(head / group)
        const expected = (cacheHead * tokens + token) * headSize + index
        const place = isTransposed ? index * tokens + token : token * headSize + index
        const actual = elements[head * tokens * headSize + place]! / scale - 1
        // Also if it is NaN.
        if (!(Math.abs(actual - expected) < 0.01)) return undefined
      }
  return scale
}

const scoreOperators = new Set([...keepingOperators, 'Mul', 'Div', 'Add', 'Sub', 'Where', 'Max', 'Tanh'])

function followToProduct(result: string, producers: Producers, values: Values): ScoreSteps | undefined {
  const nodes: NodeProto[] = []
  for (let name = result; ;) {
    const node = producers.get(name)
    if (node?.opType === 'MatMul') return { product: node, nodes, result }
    if (!node || !scoreOperators.has(node.opType)) return undefined
    nodes.unshift(node)
    const input = findComputedInput(node, values)
    if (input === undefined || !isScoreStep(node, input, values)) return undefined
    name = input
  }
}

/** True if a node changes only scores that the mask hides, or all scores in the same way. */
function isScoreStep({ opType, input }: NodeProto, computed: string, values: Values): boolean {
  if (opType === 'Div') return computed === input[0]
  if (opType !== 'Max') return true
  // OPT replaces -Infinity by the smallest number.
  const least = readUniform(values.get(input.find((name) => name !== computed) ?? ''))
  return least !== undefined && isHidden(least)
}
