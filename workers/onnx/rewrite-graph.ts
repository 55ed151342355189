import { create, toBinary } from '@bufbuild/protobuf'
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

/** The inputs that take the place of `attention_mask`; int32, [batch, 1] and [1]. */
export const sequenceInputs = { lastIndex: 'seqlens_k', total: 'total_sequence_length' } as const

/** Under this path a rewritten graph finds the weights that were inside the original file. */
export const originalFile = 'original.onnx'

/** Where GroupQueryAttention takes its two lengths (ONNX Runtime, ContribOperators.md). */
const attentionInputs = { lastIndex: 5, total: 6 } as const

/** Weights above this size stay where they are. */
const smallTensorBytes = 1024

/** What `rewriteGraph` made, or why it left the graph alone. */
export type Rewrite =
  | { readonly kind: 'rewritten'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'unchanged'; readonly reason: string }

/**
 * Makes a Hugging Face decoder fit for a fixed KV cache and for graph capture:
 * - attention takes its lengths from two inputs, instead of computing them on the CPU from a mask that grows;
 * - the language-model head sees the last position only: one row of logits, whatever the prompt's length;
 * - nodes that nothing needs any more are dropped, and with them the inputs `attention_mask` and `position_ids`.
 *
 * Weights are not copied: those inside the file become external data at their own offset in the same file.
 * Changes `model`.
 */
export function rewriteGraph(model: ModelProto): Rewrite {
  const { graph } = model
  if (!graph) return { kind: 'unchanged', reason: 'it holds no graph' }
  const attentions = graph.node.filter(({ opType }) => opType === 'GroupQueryAttention')
  if (attentions.length === 0) return { kind: 'unchanged', reason: 'it has no GroupQueryAttention' }
  const head = findHead(graph)
  if (!head) return { kind: 'unchanged', reason: 'its logits do not come from one matrix product' }
  for (const attention of attentions) {
    attention.input[attentionInputs.lastIndex] = sequenceInputs.lastIndex
    attention.input[attentionInputs.total] = sequenceInputs.total
  }
  sliceLastPosition(graph, head)
  addSequenceInputs(graph)
  dropDeadNodes(graph)
  const left = graph.input.find(({ name }) => !isKnownInput(name))
  if (left) return { kind: 'unchanged', reason: `it needs its input "${left.name}" beside attention` }
  for (const tensor of graph.initializer) {
    if (tensor.rawData.byteLength > smallTensorBytes) leaveInFile(tensor)
  }
  return { kind: 'rewritten', bytes: toBinary(ModelProtoSchema, model) }
}

function isKnownInput(name: string): boolean {
  return (
    name === 'input_ids' ||
    name === sequenceInputs.lastIndex ||
    name === sequenceInputs.total ||
    name.startsWith('past_key_values.')
  )
}

const products = new Set(['MatMul', 'MatMulNBits', 'Gemm'])
/** What may stand between the product and the logits: it works on each position by itself. */
const pointwise = new Set(['Cast', 'Mul', 'Div', 'Tanh'])

/** The matrix product that computes the logits. */
function findHead(graph: GraphProto): NodeProto | undefined {
  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node])))
  let node = producers.get('logits')
  while (node && pointwise.has(node.opType)) node = producers.get(node.input[0] ?? '')
  return node && products.has(node.opType) ? node : undefined
}

/** Puts `x[:, -1:, :]` before the head. */
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
  graph.input.push(int32(sequenceInputs.lastIndex, [1n, 1n]), int32(sequenceInputs.total, [1n]))
}

/** Drops nodes none of whose outputs is used, as often as it takes, then inputs and weights that nothing reads. */
function dropDeadNodes(graph: GraphProto): void {
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

function leaveInFile(tensor: TensorProto): void {
  // Decoding made a view of the file, not a copy: its offset is the weight's offset in the file.
  const { byteOffset, byteLength } = tensor.rawData
  tensor.rawData = new Uint8Array()
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  const entries = { location: originalFile, offset: String(byteOffset), length: String(byteLength) }
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
}
