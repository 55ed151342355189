import { create } from '@bufbuild/protobuf'
import { createNode } from './graph-edit.js'
import { TensorProtoSchema, ValueInfoProtoSchema, type GraphProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

const [embedding, channels, kernelSize] = ['/model/embed_tokens/output', 192, 3]

/**
 * Adds a convolution over the tokens to the embedded model, after its token embeddings. Its state has a fixed size, as in
 * LFM2.
 */
export function addConvState(graph: GraphProto): void {
  const weights = Float32Array.from({ length: channels * kernelSize }, (_, index) => (index % 5) - 2)
  graph.initializer.push(
    create(TensorProtoSchema, {
      name: 'conv.weight',
      dims: [BigInt(channels), 1n, BigInt(kernelSize)],
      dataType: tensorTypes.float32,
      rawData: new Uint8Array(weights.buffer),
    }),
  )
  const state = (name: string) => {
    const dim = [1, channels, kernelSize - 1].map((size) => ({
      value: { case: 'dimValue' as const, value: BigInt(size) },
    }))
    const elemType = tensorTypes.float32
    const type = { value: { case: 'tensorType' as const, value: { elemType, shape: { dim } } } }
    return create(ValueInfoProtoSchema, { name, type })
  }
  graph.input.push(state('past_conv.0'))
  graph.output.push(state('present_conv.0'))
  for (const { input } of graph.node)
    for (const [index, name] of input.entries()) if (name === embedding) input[index] = 'conv.sum'
  const perm = [0n, 2n, 1n]
  const source = graph.node.findIndex(({ output }) => output.includes(embedding))
  graph.node.splice(
    source + 1,
    0,
    createNode('Transpose', [embedding], ['conv.input'], { perm }),
    createNode(
      'CausalConvWithState',
      ['conv.input', 'conv.weight', '', 'past_conv.0'],
      ['conv.output', 'present_conv.0'],
      { ndim: 1n },
      'com.microsoft',
    ),
    createNode('Transpose', ['conv.output'], ['conv.transposed'], { perm }),
    createNode('Add', [embedding, 'conv.transposed'], ['conv.sum']),
  )
}
