import { decodeFloat16 } from './float16.js'
import { TensorProto_DataLocation, type TensorProto } from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** A tensor of a graph, for one sequence with known lengths. */
export interface Value {
  /** The element type: a value of TensorProto.DataType. */
  readonly type: number
  readonly dims: readonly number[]
  /** Returns the elements, or undefined if they depend on the weights or on the token ids. */
  read(): ArrayLike<number> | undefined
}

/** Thrown if a shape depends on elements that are unknown, or if a node is invalid. */
export class UnknownValue extends Error {}

/** The elements of larger tensors are unknown. No attention mask of one token is as large. */
const maxElements = 2 ** 24
/** Larger constants are weights. Their elements are not read. */
const maxConstantElements = 2 ** 22

export function createValue(
  type: number,
  dims: readonly number[],
  compute: () => ArrayLike<number> | undefined = () => undefined,
): Value {
  if (dims.some((size) => !Number.isSafeInteger(size) || size < 0)) throw new UnknownValue()
  let elements: { readonly known: ArrayLike<number> | undefined } | undefined
  const read = () => {
    elements ??= { known: countElements(dims) > maxElements ? undefined : compute() }
    return elements.known
  }
  return { type, dims, read }
}

export function createTensorValue(tensor: TensorProto): Value {
  const dims = tensor.dims.map(Number)
  return createValue(tensor.dataType, dims, () => readTensor(tensor, countElements(dims)))
}

function readTensor(tensor: TensorProto, count: number): ArrayLike<number> | undefined {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL || count > maxConstantElements)
    return undefined
  const elements = decodeElements(tensor, count)
  return elements?.length === count ? elements : undefined
}

function decodeElements(tensor: TensorProto, count: number): ArrayLike<number> | undefined {
  const { dataType, rawData } = tensor
  if (rawData.byteLength === 0 && count > 0) {
    const halves = tensor.int32Data
    if (dataType === tensorTypes.float16) return halves.map(decodeFloat16)
    return [tensor.floatData, halves, tensor.int64Data.map(Number)].find(({ length }) => length === count)
  }
  const bytes = rawData.slice()
  switch (dataType) {
    case tensorTypes.float32:
      return bytes.byteLength % 4 === 0 ? new Float32Array(bytes.buffer) : undefined
    case tensorTypes.float64:
      return bytes.byteLength % 8 === 0 ? new Float64Array(bytes.buffer) : undefined
    case tensorTypes.float16:
      return bytes.byteLength % 2 === 0
        ? Float64Array.from(new Uint16Array(bytes.buffer), decodeFloat16)
        : undefined
    case tensorTypes.int32:
      return bytes.byteLength % 4 === 0 ? new Int32Array(bytes.buffer) : undefined
    case tensorTypes.int64:
      return bytes.byteLength % 8 === 0
        ? Float64Array.from(new BigInt64Array(bytes.buffer), Number)
        : undefined
    case tensorTypes.int8:
      return new Int8Array(bytes.buffer)
    case tensorTypes.uint8:
    case tensorTypes.bool:
      return bytes
    default:
      return undefined
  }
}

export function countElements(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1)
}
