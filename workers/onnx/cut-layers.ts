import { countTensorBytes } from './check-fit.js'
import { formatPresentName, graphInputs, logitsOutput, parsePastName } from './graph-names.js'
import type { GraphProto, NodeProto, TensorProto } from './onnx_pb.js'

/** A cut graph has at least this many layers: the cache of the second layer depends on the attention of the first. */
const minLayers = 2

/** How many rows of the embedding a cut graph keeps. Only tokens with smaller ids can be computed. */
export const keptTokens = 64

/** The operators that read embeddings, and the positions of their inputs with one row for each token. */
const embeddingInputs = new Map<string, readonly number[]>([
  ['Gather', [0]],
  // ONNX Runtime, ContribOperators.md: the quantized data, the scales, and the zero points.
  ['GatherBlockQuantized', [0, 2, 3]],
])

/**
 * Cuts a decoder graph to its first layers, so that its weights need about `maxBytes`. A graph with smaller weights is not
 * cut. A cut graph has no logits: its outputs are the KV caches of its layers, and its embedding has only `keptTokens` rows.
 * Keeps at least one layer after the first one with each attention window. Modifies `graph`.
 */
export function cutLayers(graph: GraphProto, maxBytes: number): void {
  if (graph.initializer.reduce((sum, tensor) => sum + countTensorBytes(tensor), 0) <= maxBytes) return
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))
  graph.output = graph.output.filter(({ name }) => name !== logitsOutput)
  for (const node of graph.node) cutEmbedding(node, tensors)

  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node])))
  const reached = new Set<string>()
  const keptOutputs = new Set<string>()
  let bytes = 0
  for (const [index, outputs] of listLayers(graph).entries()) {
    const added = reach(outputs, producers, reached)
    bytes += added.reduce((sum, name) => {
      const tensor = tensors.get(name)
      return sum + (tensor ? countTensorBytes(tensor) : 0)
    }, 0)
    if (index >= countRequiredLayers(graph) && bytes > maxBytes) break
    for (const name of added) reached.add(name)
    for (const name of outputs) keptOutputs.add(name)
  }
  graph.output = graph.output.filter(({ name }) => keptOutputs.has(name))
  graph.input = graph.input.filter(({ name }) => reached.has(name))
  graph.initializer = graph.initializer.filter(({ name }) => reached.has(name))
  graph.node = graph.node.filter(({ output }) => output.some((name) => reached.has(name)))
}

/** Shortens the embedding, if `node` reads it for the ids of the tokens. */
function cutEmbedding({ opType, input }: NodeProto, tensors: ReadonlyMap<string, TensorProto>): void {
  const positions = embeddingInputs.get(opType)
  if (!positions || input[1] !== graphInputs.tokenIds) return
  for (const position of positions) {
    const tensor = tensors.get(input[position] ?? '')
    const rows = Number(tensor?.dims[0] ?? 0)
    if (tensor && rows > keptTokens) keepRows(tensor, rows)
  }
}

function keepRows(tensor: TensorProto, rows: number): void {
  const bytes = (countTensorBytes(tensor) / rows) * keptTokens
  // A row of packed 4-bit numbers can end inside a byte.
  if (!Number.isInteger(bytes)) return
  tensor.dims = [BigInt(keptTokens), ...tensor.dims.slice(1)]
  tensor.rawData = tensor.rawData.subarray(0, bytes)
  for (const entry of tensor.externalData) if (entry.key === 'length') entry.value = String(bytes)
}

/** Lists the outputs of the KV cache by layer, from the first layer to the last. */
function listLayers({ input, output }: GraphProto): readonly (readonly string[])[] {
  const names = new Set(output.map(({ name }) => name))
  const layers = new Map<number, string[]>()
  for (const past of input.flatMap(({ name }) => parsePastName(name) ?? [])) {
    const present = formatPresentName(past)
    if (names.has(present)) layers.set(past.layer, [...(layers.get(past.layer) ?? []), present])
  }
  return [...layers].toSorted(([one], [other]) => one - other).map(([, outputs]) => outputs)
}

/** Returns how many layers show the effect of each attention window. */
function countRequiredLayers({ node }: GraphProto): number {
  const firstLayers = new Map<bigint, number>()
  for (const { input, attribute } of node) {
    const window = attribute.find(({ name }) => name === 'local_window_size')?.i ?? 0n
    const layer = input.map((name) => parsePastName(name)?.layer).find((each) => each !== undefined)
    if (window > 0n && layer !== undefined)
      firstLayers.set(window, Math.min(layer, firstLayers.get(window) ?? Infinity))
  }
  return Math.max(minLayers, ...[...firstLayers.values()].map((layer) => layer + 2))
}

/** Returns the values that `outputs` depend on, with themselves, except those in `reached`. */
function reach(
  outputs: readonly string[],
  producers: ReadonlyMap<string, NodeProto>,
  reached: ReadonlySet<string>,
): string[] {
  const found = new Set<string>()
  const waiting = [...outputs]
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (name === '' || reached.has(name) || found.has(name)) continue
    found.add(name)
    waiting.push(...(producers.get(name)?.input ?? []))
  }
  return [...found]
}
