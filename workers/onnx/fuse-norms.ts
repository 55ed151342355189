import { readUniform } from './data-flow.js'
import { createNode, mapProducers, type Producers } from './graph-edit.js'
import type { Values } from './graph-values.js'
import type { GraphProto, NodeProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/**
 * Replaces root mean square norms that are written out, as in Optimum's exports, by `SimplifiedLayerNormalization`; together
 * with the sum before it, by `SkipSimplifiedLayerNormalization`. Each takes one dispatch on a GPU instead of six or seven. ONNX
 * Runtime does this only for the CPU. The nodes that become useless stay in the graph.
 *
 * Leaves norms of 16-bit floats as they are, and all norms of a graph that quantizes activations: there, another order of
 * rounding can become a whole step.
 *
 * @param values the shapes of the tensors in a run
 */
export function fuseNorms(graph: GraphProto, values: Values): void {
  if (graph.node.some(({ opType }) => opType === 'DynamicQuantizeLinear')) return
  const producers = mapProducers(graph)
  const outputs = new Set(graph.output.map(({ name }) => name))
  const replaced = new Map<NodeProto, NodeProto>()
  for (const node of graph.node) {
    const norm = findNorm(node, producers, values)
    if (!norm || outputs.has(node.output[0] ?? '')) continue
    const { input, weight, epsilon } = norm
    const sum = producers.get(input)
    const [output = ''] = node.output
    // A weight that is computed could be computed after the sum.
    const canSkip = sum && !replaced.has(sum) && !outputs.has(input) && !isComputed(weight, producers)
    if (canSkip && isSumOfStates(sum, values)) {
      replaced.set(
        sum,
        createNode(
          'SkipSimplifiedLayerNormalization',
          [...sum.input, weight],
          [output, '', '', input],
          { epsilon },
          'com.microsoft',
        ),
      )
      replaced.set(node, node)
    } else {
      const attributes = { axis: -1n, epsilon, stash_type: 1n }
      replaced.set(node, createNode('SimplifiedLayerNormalization', [input, weight], [output], attributes))
    }
  }
  // The norm takes the place of the sum, and is computed with it.
  graph.node = graph.node.flatMap((node) => {
    const replacement = replaced.get(node)
    return replacement === node ? [] : [replacement ?? node]
  })
}

function isComputed(name: string, producers: Producers): boolean {
  const node = producers.get(name)
  return node !== undefined && node.opType !== 'Constant'
}

interface Norm {
  readonly input: string
  readonly weight: string
  readonly epsilon: number
}

/** Finds the norm whose last node is `node`: the product of the normalized input and the weight. */
function findNorm(node: NodeProto, producers: Producers, values: Values): Norm | undefined {
  if (node.opType !== 'Mul') return undefined
  const output = values.get(node.output[0] ?? '')
  for (const [place, name] of node.input.entries()) {
    const weight = node.input[1 - place] ?? ''
    const normalized = findNormalized(skipCasts(name, producers, values), producers, values)
    const input = normalized && values.get(normalized.input)
    const isWeight = values.get(weight)?.dims.join() === input?.dims.slice(-1).join()
    const types = [input?.type, output?.type, values.get(weight)?.type]
    const isExact = types.every((type) => type === tensorTypes.float32)
    if (normalized && input && isWeight && isExact && output?.dims.join() === input.dims.join())
      return { ...normalized, weight }
  }
  return undefined
}

/** Finds x / sqrt(mean(x²) + epsilon), whose last node computes `name`. */
function findNormalized(
  name: string,
  producers: Producers,
  values: Values,
): Omit<Norm, 'weight'> | undefined {
  const product = producers.get(name)
  if (product?.opType !== 'Mul') return undefined
  for (const [place, factor] of product.input.entries()) {
    const source = product.input[1 - place] ?? ''
    const root = findRoot(producers.get(factor), producers, values)
    const sum = root?.opType === 'Sqrt' ? producers.get(root.input[0] ?? '') : undefined
    if (sum?.opType !== 'Add') continue
    const means = sum.input.map((each) => producers.get(each))
    const mean = means.find((each) => each?.opType === 'ReduceMean')
    const epsilon = readUniform(values.get(sum.input[1 - means.indexOf(mean)] ?? ''))
    const square = mean && reducesLastAxis(mean, values) ? producers.get(mean.input[0] ?? '') : undefined
    const isSquare =
      square?.opType === 'Pow' &&
      square.input[0] === source &&
      readUniform(values.get(square.input[1] ?? '')) === 2
    if (isSquare && epsilon !== undefined && epsilon > 0)
      return { input: skipCasts(source, producers, values), epsilon }
  }
  return undefined
}

/** Returns the node before the reciprocal. */
function findRoot(node: NodeProto | undefined, producers: Producers, values: Values): NodeProto | undefined {
  if (node?.opType === 'Reciprocal') return producers.get(node.input[0] ?? '')
  const isReciprocal = node?.opType === 'Div' && readUniform(values.get(node.input[0] ?? '')) === 1
  return isReciprocal ? producers.get(node.input[1] ?? '') : undefined
}

function reducesLastAxis({ input, attribute }: NodeProto, values: Values): boolean {
  const find = (name: string) => attribute.find((each) => each.name === name)
  const axes = input[1] ? values.get(input[1])?.read() : find('axes')?.ints.map(Number)
  const last = (values.get(input[0] ?? '')?.dims.length ?? 0) - 1
  const [axis, ...others] = Array.from(axes ?? [])
  return (axis === -1 || axis === last) && others.length === 0 && (find('keepdims')?.i ?? 1n) === 1n
}

/** Returns the tensor before casts that change nothing. */
function skipCasts(name: string, producers: Producers, values: Values): string {
  const node = producers.get(name)
  const source = node?.input[0] ?? ''
  const isIdle = node?.opType === 'Cast' && values.get(source)?.type === values.get(name)?.type
  return isIdle ? skipCasts(source, producers, values) : name
}

/** True for the sum of two tensors [1, tokens, size], which both depend on the tokens. */
function isSumOfStates({ opType, input, output }: NodeProto, values: Values): boolean {
  const dims = values.get(output[0] ?? '')?.dims
  return (
    opType === 'Add' &&
    dims?.length === 3 &&
    input.every((name) => {
      const value = values.get(name)
      return value?.dims.join() === dims.join() && value.type === tensorTypes.float32
    })
  )
}
