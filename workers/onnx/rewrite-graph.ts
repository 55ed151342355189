import { create, toBinary } from '@bufbuild/protobuf'
import { graphInputs, logitsOutput, parsePastName } from './graph-names.js'
import {
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'

/** The path by which a rewritten graph refers to the weights inside the original file. */
export const originalFile = 'original.onnx'

/** The positions of the two length inputs of GroupQueryAttention (ONNX Runtime, ContribOperators.md). */
const attentionInputs = { lastIndex: 5, totalLength: 6 } as const

/** Weights that are larger than this stay in the original file. */
const smallTensorBytes = 1024

/** The result of `rewriteGraph`: the rewritten graph, or the reason why the graph cannot be rewritten. */
export type Rewrite =
  | {
      readonly kind: 'rewritten'
      readonly bytes: Uint8Array<ArrayBuffer>
      /** False if ONNX Runtime computes this graph wrongly with graph capture. */
      readonly canCapture: boolean
    }
  | { readonly kind: 'unchanged'; readonly reason: string }

/**
 * Prepares a Hugging Face decoder for a fixed KV cache and for graph capture:
 * - Attention reads its lengths from two inputs, instead of computing them on the CPU from a growing mask.
 * - The language-model head computes only the last position: one row of logits for a prompt of any length.
 * - Unused nodes are removed, and with them the inputs for the attention mask and the position ids.
 *
 * Weights are not copied: large weights inside the file become external data, at their offset in the same file.
 * Modifies `model`, even if the result is `unchanged`.
 */
export function rewriteGraph(model: ModelProto): Rewrite {
  const { graph } = model
  if (!graph) return { kind: 'unchanged', reason: 'it contains no graph' }
  const attentions = graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')
  if (attentions.length === 0) return { kind: 'unchanged', reason: 'it has no GroupQueryAttention' }
  const head = findHead(graph)
  if (!head) return { kind: 'unchanged', reason: 'its logits are not the result of a single matrix product' }
  for (const attention of attentions) {
    attention.input[attentionInputs.lastIndex] = graphInputs.lastIndex
    attention.input[attentionInputs.totalLength] = graphInputs.totalLength
  }
  sliceLastPosition(graph, head)
  addSequenceInputs(graph)
  removeDeadNodes(graph)
  const other = graph.input.find(({ name }) => !isRewrittenInput(name))
  if (other) return { kind: 'unchanged', reason: `its input "${other.name}" is not only used by attention` }
  leaveWeightsInFile(graph)
  return {
    kind: 'rewritten',
    bytes: toBinary(ModelProtoSchema, model),
    canCapture: !attentions.some(hasSlidingWindow),
  }
}

/**
 * True if attention reads only the last `local_window_size` tokens, as in Mistral and Gemma. ONNX Runtime 1.30.0 captures
 * such a node with the window of the captured step, so later steps read the wrong tokens (microsoft/onnxruntime#32462).
 */
function hasSlidingWindow({ attribute }: NodeProto): boolean {
  // The default, -1, means that there is no window.
  return attribute.some(({ name, i }) => name === 'local_window_size' && i > 0n)
}

const rewrittenInputs: ReadonlySet<string> = new Set([
  graphInputs.tokenIds,
  graphInputs.lastIndex,
  graphInputs.totalLength,
])

function isRewrittenInput(name: string): boolean {
  return rewrittenInputs.has(name) || parsePastName(name) !== undefined
}

const products = new Set(['MatMul', 'MatMulNBits', 'Gemm'])
/**
 * The operators that are allowed between the matrix product and the logits, because they compute each position separately.
 * `Add` adds the bias in the head of Phi-2.
 */
const pointwise = new Set(['Cast', 'Mul', 'Div', 'Tanh', 'Add'])

/** Finds the language-model head: the matrix product that computes the logits. */
function findHead(graph: GraphProto): NodeProto | undefined {
  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node])))
  const seen = new Set<NodeProto>()
  let node = producers.get(logitsOutput)
  // A damaged graph can have a cycle.
  while (node && pointwise.has(node.opType) && !seen.has(node)) {
    seen.add(node)
    const computed = node.input.flatMap((name) => producers.get(name) ?? [])
    const [input, other] = computed.filter(({ opType }) => opType !== 'Constant')
    // With two computed inputs, either could come from the head.
    node = other ? undefined : input
  }
  return node && products.has(node.opType) ? node : undefined
}

/** Inserts the slice `x[:, -1:, :]` before the head. */
function sliceLastPosition(graph: GraphProto, head: NodeProto): void {
  const constants = { start: -1n, end: 2n ** 63n - 1n, axis: 1n }
  for (const [name, value] of Object.entries(constants)) {
    graph.initializer.push(
      create(TensorProtoSchema, {
        name: `rivulet.slice.${name}`,
        dims: [1n],
        dataType: TensorProto_DataType.INT64,
        rawData: new Uint8Array(BigInt64Array.of(value).buffer),
      }),
    )
  }
  const slice = create(NodeProtoSchema, {
    name: 'rivulet.slice',
    opType: 'Slice',
    input: [head.input[0] ?? '', ...Object.keys(constants).map((name) => `rivulet.slice.${name}`)],
    output: ['rivulet.last_position'],
  })
  head.input[0] = 'rivulet.last_position'
  graph.node.splice(graph.node.indexOf(head), 0, slice)
}

function addSequenceInputs(graph: GraphProto): void {
  const int32 = (name: string, dims: readonly bigint[]) =>
    create(ValueInfoProtoSchema, {
      name,
      type: {
        value: {
          case: 'tensorType',
          value: {
            elemType: TensorProto_DataType.INT32,
            shape: { dim: dims.map((value) => ({ value: { case: 'dimValue' as const, value } })) },
          },
        },
      },
    })
  graph.input.push(int32(graphInputs.lastIndex, [1n, 1n]), int32(graphInputs.totalLength, [1n]))
}

/** Removes nodes whose outputs are all unused, until none is left. Then removes inputs and weights that no node reads. */
function removeDeadNodes(graph: GraphProto): void {
  const outputs = graph.output.map(({ name }) => name)
  for (;;) {
    const used = new Set([...outputs, ...graph.node.flatMap(({ input }) => input)])
    const alive = graph.node.filter(({ output }) => output.some((name) => name !== '' && used.has(name)))
    if (alive.length === graph.node.length) {
      graph.input = graph.input.filter(({ name }) => used.has(name))
      graph.initializer = graph.initializer.filter(({ name }) => used.has(name))
      return
    }
    graph.node = alive
  }
}

/** Makes the large weights inside the graph's file external data of the file `originalFile`, so that they are not copied. */
export function leaveWeightsInFile(graph: GraphProto): void {
  for (const tensor of graph.initializer) {
    if (tensor.rawData.byteLength > smallTensorBytes) leaveInFile(tensor)
  }
}

function leaveInFile(tensor: TensorProto): void {
  // The decoded weight is a view of the file, so its byte offset is the offset in the file.
  const { byteOffset, byteLength } = tensor.rawData
  tensor.rawData = new Uint8Array()
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  const entries = { location: originalFile, offset: String(byteOffset), length: String(byteLength) }
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
}
