import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { InferenceSession } from 'onnxruntime-web'
import { beforeAll, describe, expect, it } from 'vitest'
import { expandWeights } from './expand-weights.js'
import { AttributeProtoSchema, ModelProtoSchema } from './onnx_pb.js'
import { createSession, loadOnnxRuntime, type OnnxRuntime } from './session.js'

/*
 * Runs a model with one product in ONNX Runtime: `MatMulNBits` and `MatMul` with the f32 weight have the same result.
 */

const types = { float32: 1, uint8: 2, int: 2 }
const positions = 3

interface Product {
  readonly rows: number
  readonly columns: number
  readonly bits: number
  readonly blockSize: number
  readonly zeroPoints?: 'default' | 'packed' | 'float'
}

let runtime: OnnxRuntime
beforeAll(async () => {
  runtime = await loadOnnxRuntime('wasm')
})

const drawFloats = (count: number, phase: number) =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index * 1.7 + phase))
const drawBytes = (count: number) =>
  Uint8Array.from({ length: count }, (_, index) => (index * 167 + 13) % 256)
const bytesOf = ({ buffer }: Float32Array<ArrayBuffer>) => new Uint8Array(buffer)

function buildModel({
  rows,
  columns,
  bits,
  blockSize,
  zeroPoints = 'default',
}: Product): Uint8Array<ArrayBuffer> {
  const blocks = Math.ceil(rows / blockSize)
  const blockBytes = (blockSize * bits) / 8
  const zeroRowBytes = Math.ceil((blocks * bits) / 8)
  const zeros = {
    default: [],
    packed: [
      {
        ...describeTensor('zeros', types.uint8, [columns, zeroRowBytes]),
        rawData: drawBytes(columns * zeroRowBytes),
      },
    ],
    float: [
      {
        ...describeTensor('zeros', types.float32, [columns, blocks]),
        rawData: bytesOf(drawFloats(columns * blocks, 2).map((value) => 8 + 4 * value)),
      },
    ],
  }[zeroPoints]
  const initializer = [
    {
      ...describeTensor('b', types.uint8, [columns, blocks, blockBytes]),
      rawData: drawBytes(columns * blocks * blockBytes),
    },
    {
      ...describeTensor('scales', types.float32, [columns, blocks]),
      rawData: bytesOf(drawFloats(columns * blocks, 1).map((value) => value / 2 ** bits)),
    },
    ...zeros,
  ]
  const attributes = { K: rows, N: columns, bits, block_size: blockSize }
  const node = {
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    input: ['a', ...initializer.map(({ name }) => name)],
    output: ['y'],
    attribute: Object.entries(attributes).map(([name, value]) => createInteger(name, value)),
  }
  const graph = {
    initializer,
    node: [node],
    input: [describeValue('a', [1, positions, rows])],
    output: [describeValue('y', [1, positions, columns])],
  }
  const model = create(ModelProtoSchema, { graph })
  // Fields that onnx.proto here does not declare: ir_version 10, opset 21 of ONNX, opset 1 of com.microsoft.
  model.$unknown = [
    { no: 1, wireType: 0, data: Uint8Array.of(10) },
    { no: 8, wireType: 2, data: Uint8Array.of(2, 0x10, 21) },
    { no: 8, wireType: 2, data: encodeImport('com.microsoft') },
  ]
  return toBinary(ModelProtoSchema, model)
}

/** Encodes an OperatorSetIdProto with `domain` and `version` 1, prefixed with its length. */
function encodeImport(domain: string): Uint8Array {
  const name = new TextEncoder().encode(domain)
  return Uint8Array.of(name.length + 4, 0x0a, name.length, ...name, 0x10, 1)
}

function createInteger(name: string, value: number) {
  const attribute = create(AttributeProtoSchema, { name, i: BigInt(value) })
  attribute.$unknown = [{ no: 20, wireType: 0, data: Uint8Array.of(types.int) }]
  return attribute
}

const describeTensor = (name: string, dataType: number, dims: readonly number[]) => ({
  name,
  dataType,
  dims: dims.map(BigInt),
})

const describeValue = (name: string, dims: readonly number[]) => ({
  name,
  type: {
    value: {
      case: 'tensorType' as const,
      value: {
        elemType: types.float32,
        shape: { dim: dims.map((size) => ({ value: { case: 'dimValue' as const, value: BigInt(size) } })) },
      },
    },
  },
})

async function multiply(
  { graph, externalData }: Parameters<typeof createSession>[2],
  rows: number,
): Promise<Float32Array> {
  const session: InferenceSession = await createSession(runtime, { kind: 'wasm' }, { graph, externalData })
  const a = new runtime.Tensor('float32', drawFloats(positions * rows, 0), [1, positions, rows])
  const { y } = await session.run({ a })
  await session.release()
  return y!.data as Float32Array
}

describe('ONNX Runtime computes the same result with the f32 weight', () => {
  it.each<Product>([
    { rows: 40, columns: 7, bits: 4, blockSize: 16 },
    { rows: 96, columns: 300, bits: 4, blockSize: 32, zeroPoints: 'packed' },
    { rows: 96, columns: 300, bits: 4, blockSize: 32, zeroPoints: 'float' },
    { rows: 40, columns: 7, bits: 8, blockSize: 16 },
    { rows: 96, columns: 300, bits: 8, blockSize: 32, zeroPoints: 'packed' },
  ])('K $rows, N $columns, $bits bits, $zeroPoints zero points', async (product) => {
    const graph = buildModel(product)
    const expansion = expandWeights(fromBinary(ModelProtoSchema, graph), [])
    if (expansion.kind === 'unchanged') throw new Error(expansion.reason)
    const quantized = await multiply({ graph, externalData: [] }, product.rows)
    const expanded = await multiply(expansion, product.rows)
    expect(quantized).toHaveLength(positions * product.columns)
    expect(Math.max(...quantized.map(Math.abs))).toBeGreaterThan(1)
    expect(expanded).toHaveLength(quantized.length)
    expect(Math.max(...expanded.map((value, index) => Math.abs(value - quantized[index]!)))).toBeLessThan(
      1e-4,
    )
  })
})
