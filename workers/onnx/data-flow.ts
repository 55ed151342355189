import { computeNode, type Values } from './graph-values.js'
import type { NodeProto } from './onnx_pb.js'
import type { Value } from './tensor-value.js'

/** The operators that move elements, or multiply all of them with the same number. */
export const movingOperators = new Set([
  'Transpose',
  'Reshape',
  'Unsqueeze',
  'Squeeze',
  'Expand',
  'Flatten',
  'Identity',
  'Cast',
  'Mul',
  'Div',
])
/** The operators that keep the order of the elements. */
export const keepingOperators = new Set(['Reshape', 'Unsqueeze', 'Squeeze', 'Flatten', 'Identity', 'Cast'])

/** Returns the only input that depends on the weights or the token ids. */
export function findComputedInput({ input }: NodeProto, values: Values): string | undefined {
  const computed = input.filter((name) => name !== '' && values.get(name)?.read() === undefined)
  return computed.length === 1 && values.get(computed[0]!) ? computed[0] : undefined
}

/** Returns the number that all elements are equal to. */
export function readUniform(value: Value | undefined): number | undefined {
  const elements = value?.read()
  const first = elements?.[0]
  return elements && Array.from(elements).every((element) => element === first) ? first : undefined
}

/** Computes `nodes` after one tensor is replaced. */
export function computePath(
  nodes: readonly NodeProto[],
  replaced: readonly [name: string, value: Value],
  values: Values,
): Values {
  const computed = new Map([replaced])
  const lookup = { get: (name: string) => computed.get(name) ?? values.get(name) }
  for (const node of nodes) {
    const [value] = computeNode(node, lookup)
    if (value) computed.set(node.output[0] ?? '', value)
    // Otherwise the old value would be used.
    else return { get: () => undefined }
  }
  return lookup
}
