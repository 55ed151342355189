import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { embeddingsInput, graphInputs } from './graph-names.js'
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/*
 * Splits the embedded model into `embed_tokens` and `decoder_model_merged`, as multimodal models are exported. Runs in Node
 * and in the browser.
 */

/** The graph files of a split model. */
export interface SplitModel {
  readonly embedding: Uint8Array<ArrayBuffer>
  readonly decoder: Uint8Array<ArrayBuffer>
}

/** Variants of a split model. All of them compute the same. */
export interface SplitOptions {
  /** The operator set of the embedding. The decoder has version 18. */
  readonly version?: bigint
  /** True if half of each embedding is an output of its own, as the inputs of each layer of Gemma 3n and 4 are. */
  readonly hasPerLayerInputs?: boolean
  /** True if the embeddings are in 16-bit floats. The decoder reads 32-bit floats. */
  readonly isFloat16?: boolean
}

const hiddenSize = 192n
const perLayerInputs = 'per_layer_inputs'

/** @param file the content of `model_quantized.onnx` of the embedded model */
export function splitModel(
  file: Uint8Array<ArrayBuffer>,
  { version = 18n, hasPerLayerInputs = false, isFloat16 = false }: SplitOptions = {},
): SplitModel {
  const embedding = readGraph(file)
  const decoder = readGraph(file)
  const isLookup = ({ opType, input }: NodeProto) => opType === 'Gather' && input[1] === graphInputs.tokenIds
  const [embeddings = ''] = embedding.graph.node.find(isLookup)?.output ?? []

  const type = isFloat16 ? tensorTypes.float16 : tensorTypes.float32
  keepAncestors(embedding.graph, embeddings)
  embedding.model.opsetImport.find(({ domain }) => domain === '')!.version = version
  embedding.graph.input = embedding.graph.input.filter(({ name }) => name === graphInputs.tokenIds)
  embedding.graph.node.push(createCast(embeddings, embeddingsInput, type))
  embedding.graph.output = [createValue(embeddingsInput, type)]

  decoder.graph.node = decoder.graph.node.filter((node) => !isLookup(node))
  for (const node of decoder.graph.node)
    node.input = node.input.map((name) => (name === embeddings ? embeddingsInput : name))
  decoder.graph.input = decoder.graph.input.filter(({ name }) => name !== graphInputs.tokenIds)
  decoder.graph.input.push(createValue(embeddingsInput, tensorTypes.float32))

  if (hasPerLayerInputs) {
    const half = createFloat('half', 0.5)
    embedding.graph.initializer.push(half)
    embedding.graph.node.pop()
    for (const output of [embeddingsInput, perLayerInputs])
      embedding.graph.node.push(
        create(NodeProtoSchema, { opType: 'Mul', input: [embeddings, half.name], output: [output] }),
      )
    embedding.graph.output.push(createValue(perLayerInputs, tensorTypes.float32))
    for (const node of decoder.graph.node)
      node.input = node.input.map((name) => (name === embeddingsInput ? 'sum' : name))
    decoder.graph.node.unshift(
      create(NodeProtoSchema, { opType: 'Add', input: [embeddingsInput, perLayerInputs], output: ['sum'] }),
    )
    decoder.graph.input.push(createValue(perLayerInputs, tensorTypes.float32))
  }
  return {
    embedding: toBinary(ModelProtoSchema, embedding.model),
    decoder: toBinary(ModelProtoSchema, decoder.model),
  }
}

function readGraph(file: Uint8Array): { readonly model: ModelProto; readonly graph: GraphProto } {
  const model = fromBinary(ModelProtoSchema, file)
  return { model, graph: model.graph! }
}

/** Removes everything from a graph that its value `name` does not depend on. */
function keepAncestors(graph: GraphProto, name: string): void {
  const needed = new Set([name])
  // Each node comes after the nodes that it depends on.
  for (const node of graph.node.toReversed())
    if (node.output.some((output) => needed.has(output))) for (const input of node.input) needed.add(input)
  graph.node = graph.node.filter(({ output }) => output.some((each) => needed.has(each)))
  graph.initializer = graph.initializer.filter((tensor) => needed.has(tensor.name))
}

function createCast(input: string, output: string, to: number): NodeProto {
  const attribute = [{ name: 'to', i: BigInt(to), type: AttributeProto_AttributeType.INT }]
  return create(NodeProtoSchema, { opType: 'Cast', input: [input], output: [output], attribute })
}

function createFloat(name: string, value: number) {
  const rawData = new Uint8Array(Float32Array.of(value).buffer)
  return create(TensorProtoSchema, { name, dataType: tensorTypes.float32, rawData })
}

function createValue(name: string, elemType: number) {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'batch' } },
    { value: { case: 'dimParam' as const, value: 'length' } },
    { value: { case: 'dimValue' as const, value: hiddenSize } },
  ]
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  })
}
