import { create, toBinary } from '@bufbuild/protobuf'
import { moveToFile, smallTensorBytes } from './external-tensor.js'
import { findAttentions } from './find-attention.js'
import { fuseAttentions } from './fuse-attention.js'
import {
  addInt64,
  createInt64Tensor,
  createNode,
  insertBefore,
  mapProducers,
  type Producers,
  removeDeadNodes,
} from './graph-edit.js'
import { dependsOnLength, replaceLengths, replaceMask } from './graph-lengths.js'
import {
  formatPresentStateName,
  graphInputs,
  isRotaryTableName,
  logitsOutput,
  parsePastName,
} from './graph-names.js'
import { fuseNorms } from './fuse-norms.js'
import { createProbes } from './graph-probes.js'
import type { CacheSizes } from './model-config.js'
import {
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorShapeProto_Dimension,
} from './onnx_pb.js'
import { replaceRotarySwitch, type RotaryTables } from './rotary-tables.js'
import { splitNorms } from './split-norms.js'

/** The path by which a rewritten graph refers to the weights inside the original file. */
export const originalFile = 'original.onnx'

/** The positions of the two length inputs of GroupQueryAttention (ONNX Runtime, ContribOperators.md). */
const attentionInputs = { lastIndex: 5, totalLength: 6 } as const

/** The result of `rewriteGraph`: the rewritten graph, or the reason why the graph cannot be rewritten. */
export type Rewrite =
  | {
      readonly kind: 'rewritten'
      readonly bytes: Uint8Array<ArrayBuffer>
      /**
       * The KV cache that the graph works with:
       * - `captured`: a fixed one, also if ONNX Runtime captures the graph.
       * - `fixed`: a fixed one, without capture.
       * - `growing`: only one that has the length of the sequence.
       */
      readonly cache: 'captured' | 'fixed' | 'growing'
      /** True if the graph computes a matrix [heads, new tokens, total tokens] for each run. */
      readonly hasScoreMatrix: boolean
      /** The tables of rotary factors that are inputs of the graph. */
      readonly rotaryTables: readonly RotaryTables[]
    }
  | { readonly kind: 'unchanged'; readonly reason: string }

/** What `rewriteGraph` needs to know. */
export interface RewriteOptions {
  readonly device: 'webgpu' | 'wasm'
  /** The maximum number of tokens in the cache. */
  readonly contextLength: number
  readonly cacheSizes: CacheSizes
  /** The `rotarySwitch` of the graph's `PrefillRules`. */
  readonly rotarySwitch: number
}

/**
 * Prepares a Hugging Face decoder for a fixed KV cache and for graph capture:
 * - Attention that is written out in operators, as in Optimum's exports, becomes GroupQueryAttention.
 * - On WebGPU, norms that are written out become one node.
 * - Attention reads its lengths from two inputs, instead of computing them on the CPU from a growing mask.
 * - The language-model head computes only the last position: one row of logits for a prompt of any length.
 * - If the rotary factors depend on the length, their tables become inputs.
 * - For the CPU, the norms of queries and keys are computed before attention, because its kernel cannot compute them.
 * - Unused nodes are removed, and with them the input for the attention mask.
 *
 * Where the cache cannot be fixed, because the model has states of fixed size or reads the mask elsewhere, the rest is done
 * for a growing cache.
 *
 * Weights are not copied: large weights inside the file become external data, at their offset in the same file.
 * Modifies `model`, even if the result is `unchanged`.
 */
export function rewriteGraph(model: ModelProto, options: RewriteOptions): Rewrite {
  try {
    return rewriteModel(model, options)
  } catch (error) {
    // A damaged graph can compute a shape in so many steps that the stack overflows.
    if (error instanceof RangeError) return { kind: 'unchanged', reason: 'it is too complex' }
    throw error
  }
}

function rewriteModel(model: ModelProto, options: RewriteOptions): Rewrite {
  const { graph } = model
  if (!graph) return { kind: 'unchanged', reason: 'it contains no graph' }
  const head = findHead(graph)
  if (!head) return { kind: 'unchanged', reason: 'its logits are not the result of a single matrix product' }
  keepLastLogits(graph)
  const rotaryTables = replaceRotarySwitch(graph, options.rotarySwitch, options.cacheSizes)
  const form = graph.node.some(isAttention) ? knownForm : rewriteOperators(model, graph, head, options)
  if (form.headRank !== 3) return { kind: 'unchanged', reason: 'its head has an unknown form' }
  const attentions = graph.node.filter(isAttention)
  for (const attention of attentions) {
    attention.input[attentionInputs.lastIndex] = graphInputs.lastIndex
    attention.input[attentionInputs.totalLength] = graphInputs.totalLength
  }
  if (options.device === 'wasm') splitNorms(graph)
  sliceLastPosition(graph, head)
  addSequenceInputs(graph)
  removeDeadNodes(graph)
  const isFixed = attentions.length > 0 && canFixCache(graph)
  if (isFixed) {
    replaceMask(graph)
    removeDeadNodes(graph)
  }
  const other = graph.input.find(({ name }) => !isKnownInput(name))
  if (other) return { kind: 'unchanged', reason: `it has the unknown input "${other.name}"` }
  leaveWeightsInFile(graph)
  const canCapture = isFixed && !dependsOnLength(graph) && !attentions.some(hasSlidingWindow)
  return {
    kind: 'rewritten',
    bytes: toBinary(ModelProtoSchema, model),
    cache: canCapture ? 'captured' : isFixed ? 'fixed' : 'growing',
    hasScoreMatrix: form.hasScoreMatrix,
    rotaryTables,
  }
}

/** What the rewrite learns about a graph. */
interface GraphForm {
  /** The number of dimensions of the head's input, or undefined if it is unknown. */
  readonly headRank: number | undefined
  readonly hasScoreMatrix: boolean
}

/** The form of the graphs with GroupQueryAttention. */
const knownForm: GraphForm = { headRank: 3, hasScoreMatrix: false }

/** Rewrites a graph whose attention is written out in operators. The graph stays unchanged if its attention is unknown. */
function rewriteOperators(
  model: ModelProto,
  graph: GraphProto,
  head: NodeProto,
  { device, cacheSizes, contextLength }: RewriteOptions,
): GraphForm {
  const probes = createProbes(graph, cacheSizes, contextLength)
  const headRank = probes.small.values.get(head.input[0] ?? '')?.dims.length
  const attentions = findAttentions(graph, probes)
  if (typeof attentions === 'string') return { headRank, hasScoreMatrix: true }
  replaceLengths(graph, probes)
  removeDeadNodes(graph)
  fuseAttentions(graph, attentions, probes)
  importMicrosoftOperators(model)
  if (device === 'webgpu') fuseNorms(graph, probes.small.values)
  return { headRank, hasScoreMatrix: attentions.some(({ scores }) => scores.bias) }
}

function importMicrosoftOperators({ opsetImport }: ModelProto): void {
  const domain = 'com.microsoft'
  if (!opsetImport.some((each) => each.domain === domain))
    opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: 1n }))
}

function isAttention({ opType }: NodeProto): boolean {
  return opType === 'GroupQueryAttention'
}

/** Makes an input for the number of logits constant: only the logits of the last position are needed. */
function keepLastLogits(graph: GraphProto): void {
  if (!graph.input.some(({ name }) => name === graphInputs.logitsToKeep)) return
  graph.input = graph.input.filter(({ name }) => name !== graphInputs.logitsToKeep)
  graph.initializer.push(createInt64Tensor(graphInputs.logitsToKeep, [1], []))
}

/** True if only attention reads the cache. */
function canFixCache({ node }: GraphProto): boolean {
  return node.filter(({ input }) => input.some((name) => parsePastName(name))).every(isAttention)
}

/**
 * True if attention reads only the last `local_window_size` tokens, as in Mistral and Gemma. ONNX Runtime 1.30.0 captures
 * such a node with the window of the captured step, so later steps read the wrong tokens (microsoft/onnxruntime#32462).
 */
function hasSlidingWindow({ attribute }: NodeProto): boolean {
  // The default, -1, means that there is no window.
  return attribute.some(({ name, i }) => name === 'local_window_size' && i > 0n)
}

const knownInputs: ReadonlySet<string> = new Set(Object.values(graphInputs))

function isKnownInput(name: string): boolean {
  return (
    knownInputs.has(name) ||
    isRotaryTableName(name) ||
    parsePastName(name) !== undefined ||
    formatPresentStateName(name) !== undefined
  )
}

/** `MatMulInteger` multiplies quantized activations. Each position has the same scale, so the last one can be computed alone. */
const products = new Set(['MatMul', 'MatMulNBits', 'MatMulInteger', 'Gemm'])
/**
 * The operators that are allowed between the matrix product and the logits, because they compute each position separately.
 * `Add` adds the bias in the head of Phi-2.
 */
const pointwise = new Set(['Cast', 'Mul', 'Div', 'Tanh', 'Add'])

/** Finds the language-model head: the matrix product that computes the logits. */
function findHead(graph: GraphProto): NodeProto | undefined {
  const producers = mapProducers(graph)
  const seen = new Set<NodeProto>()
  let node = producers.get(logitsOutput)
  // A damaged graph can have a cycle.
  while (node && pointwise.has(node.opType) && !seen.has(node)) {
    seen.add(node)
    const computed = node.input.filter((name) => producers.has(name) && !isSameForAll(name, producers))
    const [input, other] = computed
    // With two computed inputs, either could come from the head.
    node = other === undefined ? producers.get(input ?? '') : undefined
  }
  return node && products.has(node.opType) ? node : undefined
}

/** True for a constant, and for the scale of quantized activations, which is the same for all positions. */
function isSameForAll(name: string, producers: Producers): boolean {
  const node = producers.get(name)
  if (!node || node.opType === 'Constant') return true
  if (node.opType === 'DynamicQuantizeLinear') return node.output[1] === name
  // The product of this scale and of that of the weights. The scale itself is not a product, so this ends.
  const isProduct =
    node.opType === 'Mul' && node.input.every((input) => producers.get(input)?.opType !== 'Mul')
  return isProduct && node.input.every((input) => isSameForAll(input, producers))
}

/** Inserts the slice `x[:, -1:, :]` before the head. */
function sliceLastPosition(graph: GraphProto, head: NodeProto): void {
  const output = 'rivulet.last_position'
  const range = [-1n, 2n ** 63n - 1n, 1n].map((value) => addInt64(graph, [value]))
  insertBefore(graph, head, createNode('Slice', [head.input[0] ?? '', ...range], [output]))
  head.input[0] = output
}

function addSequenceInputs(graph: GraphProto): void {
  const int32 = (name: string, dims: readonly TensorShapeProto_Dimension['value'][]) =>
    create(ValueInfoProtoSchema, {
      name,
      type: {
        value: {
          case: 'tensorType',
          value: {
            elemType: TensorProto_DataType.INT32,
            shape: { dim: dims.map((value) => ({ value })) },
          },
        },
      },
    })
  const one = { case: 'dimValue', value: 1n } as const
  // Several sequences can be computed in one run.
  const batch = { case: 'dimParam', value: 'batch_size' } as const
  graph.input.push(int32(graphInputs.lastIndex, [batch, one]), int32(graphInputs.totalLength, [one]))
}

/**
 * Makes the large weights inside the graph's file external data of this file, so that they are not copied.
 * @param path the path by which the graph refers to the file
 */
export function leaveWeightsInFile(
  graph: Pick<GraphProto, 'initializer'>,
  path: string = originalFile,
): void {
  for (const tensor of graph.initializer) {
    if (tensor.rawData.byteLength > smallTensorBytes) moveToFile(tensor, path)
  }
}
