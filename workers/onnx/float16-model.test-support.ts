import { clone, create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx_pb.js'

/* Runs in Node and in the browser. */

const types = { float32: 1, float16: 10 }

/**
 * Converts the embedded model to 16-bit floats: weights, activations, KV cache and logits. The weights are stored as 8-bit
 * integers with scales. ONNX Runtime expands them to 32-bit floats when it opens the graph, and rounds the result.
 */
export function convertToFloat16(graphFile: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, graphFile)
  const graph = model.graph!
  // The scales belong to the expansion, which the CPU computes with 32-bit floats.
  for (const tensor of graph.initializer) if (!tensor.name.endsWith('.scales')) roundTensor(tensor)
  for (const value of [...graph.input, ...graph.output]) declareFloat16(value)
  const cast = graph.node.find(({ opType }) => opType === 'Cast')!
  graph.node = graph.node.flatMap((node) => {
    const weight = { MatMul: node.input[1], Gather: node.input[0] }[node.opType]
    if (!weight?.startsWith('model.')) return [node]
    const rounded = `${weight}.float16/${node.name}`
    node.input[node.input.indexOf(weight)] = rounded
    return [createCast(cast, weight, rounded), node]
  })
  return toBinary(ModelProtoSchema, model)
}

function roundTensor(tensor: TensorProto): void {
  if (tensor.dataType !== types.float32) return
  const { buffer, byteOffset, byteLength } = tensor.rawData.slice()
  const halves = Uint16Array.from(new Float32Array(buffer, byteOffset, byteLength / 4), encodeFloat16)
  tensor.dataType = types.float16
  tensor.rawData = new Uint8Array(halves.buffer)
}

function declareFloat16({ type }: ValueInfoProto): void {
  const tensor = type?.value.value
  if (tensor?.elemType === types.float32) tensor.elemType = types.float16
}

/** A node that converts to 16-bit floats: a copy of another cast, whose attribute has a type that the schema lacks. */
function createCast(cast: NodeProto, input: string, output: string): NodeProto {
  const attribute = clone(AttributeProtoSchema, cast.attribute[0]!)
  attribute.i = BigInt(types.float16)
  return create(NodeProtoSchema, {
    name: output,
    opType: 'Cast',
    input: [input],
    output: [output],
    attribute: [attribute],
  })
}

/** Rounds a number to the nearest half-precision number, and to an even one if two are equally near. */
export function encodeFloat16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (Number.isNaN(size)) return 0x7e00
  // From here on, numbers round to infinity.
  if (size >= 65_520) return sign | 0x7c00
  // The exponent of subnormal numbers is the one of the smallest normal numbers.
  const exponent = Math.max(Math.floor(Math.log2(size)), -14)
  const steps = roundToEven(size / 2 ** (exponent - 10))
  // A fraction that rounds up to the next power of two continues in the exponent's bits.
  return sign + ((exponent + 14) << 10) + steps
}

function roundToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}
