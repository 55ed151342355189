import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { openBytes, type OpenFile } from '../store/readable-file.js'
import { expandWeights } from './expand-weights.js'
import { readPart } from './external-data.js'
import {
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorProto_DataLocation,
  type GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'

type Graph = MessageInitShape<typeof GraphProtoSchema>
type Files = Parameters<typeof expandWeights>[1]

const types = { float32: 1, uint8: 2, float16: 10 }

interface Shape {
  readonly rows: number
  readonly columns: number
  readonly bits: number
  readonly blockSize: number
  readonly zeroPoints?: 'default' | 'packed' | 'float'
}

/** Integers in [0, end), from the high bits of a generator whose low bits have short periods. */
function drawIntegers(count: number, end: number, seed: number): number[] {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * end)
  })
}

/** Packs rows of values into bytes, low bits first. Each row is padded to whole bytes. */
function packRows(values: readonly number[], rowLength: number, bits: number): Uint8Array<ArrayBuffer> {
  const rows = Array.from({ length: values.length / rowLength }, (_, row) => {
    const bytes = new Uint8Array(Math.ceil((rowLength * bits) / 8))
    for (let index = 0; index < rowLength; index += 1)
      bytes[Math.floor((index * bits) / 8)]! += values[row * rowLength + index]! * 2 ** ((index * bits) % 8)
    return bytes
  })
  return new Uint8Array(Buffer.concat(rows))
}

const toBytes = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer)

/** Creates a quantized weight, its node, and the expected f32 weight: [K, N]. */
function quantize({ rows, columns, bits, blockSize, zeroPoints = 'default' }: Shape) {
  const blocks = Math.ceil(rows / blockSize)
  const quantized = drawIntegers(columns * blocks * blockSize, 2 ** bits, rows)
  const scales = drawIntegers(columns * blocks, 1000, columns).map((value) => Math.fround(value / 999 - 0.3))
  const drawn = drawIntegers(columns * blocks, 2 ** bits, blockSize)
  const zeros = drawn.map(
    (zero) => ({ default: 2 ** (bits - 1), packed: zero, float: zero + 0.25 })[zeroPoints],
  )
  const zeroBytes = { default: undefined, packed: packRows(drawn, blocks, bits), float: toBytes(zeros) }[
    zeroPoints
  ]
  const tensors = {
    b: { dataType: types.uint8, rawData: packRows(quantized, blockSize, bits) },
    scales: { dataType: types.float32, rawData: toBytes(scales) },
    ...(zeroBytes && {
      zeros: { dataType: zeroPoints === 'float' ? types.float32 : types.uint8, rawData: zeroBytes },
    }),
  }
  const expected = new Float32Array(rows * columns)
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const block = column * blocks + Math.floor(row / blockSize)
      const value = quantized[column * blocks * blockSize + row]!
      expected[row * columns + column] = (value - zeros[block]!) * scales[block]!
    }
  }
  const initializer = Object.entries(tensors).map(([name, tensor]) =>
    create(TensorProtoSchema, { name, ...tensor }),
  )
  const attributes = { K: rows, N: columns, bits, block_size: blockSize }
  const node = createProduct(Object.keys(tensors), attributes)
  return { initializer, node, expected }
}

function createProduct(
  weights: readonly string[],
  attributes: Record<string, number>,
  output = 'y',
): NodeProto {
  return create(NodeProtoSchema, {
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    input: ['a', ...weights],
    output: [output],
    attribute: Object.entries(attributes).map(([name, value]) => ({ name, i: BigInt(value) })),
  })
}

/** The fields of a tensor whose data is in another file. */
function describeExternal(entries: Record<string, string>) {
  return {
    rawData: new Uint8Array(),
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    ),
  }
}

/** Decodes the graph as if from a file, so that its tensors are unaligned views of the file. */
function decodeModel(graph: Graph): ModelProto {
  const model = create(ModelProtoSchema, {
    graph: { input: [{ name: 'a' }], output: [{ name: 'y' }], ...graph },
  })
  return fromBinary(ModelProtoSchema, toBinary(ModelProtoSchema, model))
}

function expand(graph: Graph, files: Files = []) {
  const expansion = expandWeights(decodeModel(graph), files)
  if (expansion.kind === 'unchanged') throw new Error(expansion.reason)
  const { externalData } = expansion
  const { node: nodes, initializer } = fromBinary(ModelProtoSchema, expansion.graph).graph!
  /** Reads the f32 weight of a node as ONNX Runtime does. */
  function readWeight(nodeIndex: number) {
    const tensor = initializer.find(({ name }) => name === nodes[nodeIndex]!.input[1])!
    expect(tensor.dataType).toBe(types.float32)
    expect(tensor.dataLocation).toBe(TensorProto_DataLocation.EXTERNAL)
    const location = tensor.externalData.find(({ key }) => key === 'location')?.value
    const { data } = externalData.find(({ path }) => path === location)!
    const bytes = readPart(data, 0, data.byteLength)
    expect(bytes.byteLength).toBe(data.byteLength)
    return { dims: tensor.dims.map(Number), values: new Float32Array(bytes.slice().buffer) }
  }
  return { externalData, nodes, initializer, readWeight }
}

describe('a weight expands to its dequantized values', () => {
  const shapes: readonly Shape[] = [
    { rows: 64, columns: 3, bits: 4, blockSize: 32 },
    { rows: 64, columns: 3, bits: 8, blockSize: 32 },
    { rows: 48, columns: 5, bits: 4, blockSize: 16, zeroPoints: 'packed' },
    { rows: 64, columns: 5, bits: 4, blockSize: 16, zeroPoints: 'packed' },
    { rows: 48, columns: 5, bits: 8, blockSize: 16, zeroPoints: 'packed' },
    { rows: 48, columns: 5, bits: 4, blockSize: 16, zeroPoints: 'float' },
    { rows: 48, columns: 5, bits: 8, blockSize: 16, zeroPoints: 'float' },
    // The last block is partial and ends in the middle of a byte.
    { rows: 37, columns: 7, bits: 4, blockSize: 16, zeroPoints: 'packed' },
    { rows: 37, columns: 7, bits: 8, blockSize: 16 },
    { rows: 1, columns: 1, bits: 4, blockSize: 16 },
    // At and above the width of a tile.
    { rows: 33, columns: 256, bits: 4, blockSize: 32 },
    { rows: 33, columns: 257, bits: 4, blockSize: 32, zeroPoints: 'packed' },
    { rows: 70, columns: 515, bits: 8, blockSize: 32, zeroPoints: 'packed' },
  ]
  it.each(shapes)('K $rows, N $columns, $bits bits, blocks of $blockSize, $zeroPoints', (shape) => {
    const { initializer, node, expected } = quantize(shape)
    const { nodes, readWeight } = expand({ initializer, node: [node] })
    expect(nodes[0]).toMatchObject({ opType: 'MatMul', domain: '', attribute: [], output: ['y'] })
    expect(nodes[0]!.input).toEqual(['a', expect.any(String)])
    const { dims, values } = readWeight(0)
    expect(dims).toEqual([shape.rows, shape.columns])
    expect(values).toEqual(expected)
  })

  it('with the default of 4 bits, and with an empty name for the zero points', () => {
    const { initializer, expected } = quantize({ rows: 32, columns: 2, bits: 4, blockSize: 16 })
    const node = createProduct(['b', 'scales', ''], { K: 32, N: 2, block_size: 16, accuracy_level: 4 })
    expect(expand({ initializer, node: [node] }).readWeight(0).values).toEqual(expected)
  })

  it('from float16 scales and zero points, between two casts', () => {
    // 0.5 and 2 as scales, 8 and 7.5 as zero points.
    const float16 = (...bits: number[]) => ({
      dataType: types.float16,
      rawData: new Uint8Array(Uint16Array.from(bits).buffer),
    })
    const initializer = [
      { name: 'b', dataType: types.uint8, rawData: new Uint8Array(16).fill(0x93) },
      { name: 'scales', ...float16(0x3800, 0x4000) },
      { name: 'zeros', ...float16(0x4800, 0x4780) },
    ]
    const node = createProduct(['b', 'scales', 'zeros'], { K: 16, N: 2, bits: 4, block_size: 16 })
    const { nodes, readWeight } = expand({ initializer, node: [node] })
    expect(nodes.map(({ opType, attribute }) => [opType, attribute[0]?.i])).toEqual([
      ['Cast', BigInt(types.float32)],
      ['MatMul', undefined],
      ['Cast', BigInt(types.float16)],
    ])
    const [before, product, after] = nodes
    expect(before!.input).toEqual(['a'])
    expect(product!.input[0]).toBe(before!.output[0])
    expect(after!.input).toEqual(product!.output)
    expect(after!.output).toEqual(['y'])
    // Rows alternate between 3 and 9.
    expect(Array.from(readWeight(1).values.slice(0, 4))).toEqual([
      (3 - 8) / 2,
      (3 - 7.5) * 2,
      (9 - 8) / 2,
      (9 - 7.5) * 2,
    ])
  })

  it('from external files, at any offset', () => {
    const { initializer, node, expected } = quantize({
      rows: 37,
      columns: 7,
      bits: 4,
      blockSize: 16,
      zeroPoints: 'packed',
    })
    const parts: Uint8Array[] = [Uint8Array.of(9, 9, 9)]
    let offset = 3
    const external = initializer.map((tensor) => {
      const length = tensor.rawData.byteLength
      const entries = { location: 'weights', offset: String(offset), length: String(length) }
      parts.push(tensor.rawData)
      offset += length
      return create(TensorProtoSchema, {
        name: tensor.name,
        dataType: tensor.dataType,
        ...describeExternal(entries),
      })
    })
    const content = new Uint8Array(Buffer.concat(parts))
    const file = { path: 'weights', data: content }
    const expansion = expand({ initializer: external, node: [node] }, [file])
    expect(expansion.readWeight(0).values).toEqual(expected)
    expect(expansion.externalData[0]).toBe(file)

    const reads: number[] = []
    const open = openBytes(content)
    const data: OpenFile = {
      byteLength: open.byteLength,
      readInto(target, at) {
        reads.push(at)
        open.readInto(target, at)
      },
    }
    const opened = expand({ initializer: external, node: [node] }, [{ path: 'weights', data }])
    // The quantized values, which are first in the file, are not read before the weight is computed.
    expect(reads).not.toContain(3)
    expect(opened.readWeight(0).values).toEqual(expected)
    expect(reads.filter((at) => at === 3)).toHaveLength(1)
    expect(new Set(reads).size).toBe(reads.length)
  })
})

describe('an expanded file', () => {
  const { initializer, node } = quantize({ rows: 32, columns: 4, bits: 4, blockSize: 16 })
  const [file] = expand({ initializer, node: [node] }).externalData
  const data = file!.data as Uint8Array

  it('takes no memory until it is read', () => {
    expect(data.byteLength).toBe(32 * 4 * 4)
    expect(data.buffer.byteLength).toBe(0)
  })

  it('throws if it is read in an unsupported way', () => {
    expect(() => new Uint8Array(512).set(data)).toThrow(TypeError)
    expect(() => data.slice(0, 4)).toThrow(TypeError)
    expect(() => structuredClone(data)).toThrow()
  })
})

describe('a weight that several nodes read', () => {
  const { initializer, node, expected } = quantize({ rows: 32, columns: 4, bits: 4, blockSize: 16 })

  it('is expanded once', () => {
    const again = { ...node, output: ['z'] }
    const { nodes, externalData, readWeight } = expand({ initializer, node: [node, again] })
    expect(nodes[1]!.input).toEqual(nodes[0]!.input)
    expect(externalData).toHaveLength(1)
    expect(readWeight(1).values).toEqual(expected)
  })

  it('is expanded twice if two nodes interpret its bytes differently', () => {
    const other = createProduct(['b', 'scales'], { K: 16, N: 4, bits: 8, block_size: 8 }, 'z')
    const { externalData, readWeight } = expand({ initializer, node: [node, other] })
    expect(externalData).toHaveLength(2)
    expect(readWeight(0).values).toEqual(expected)
    expect(readWeight(1).dims).toEqual([16, 4])
  })

  it('is kept for a lookup that reads the quantized weight', () => {
    const lookup = { opType: 'GatherBlockQuantized', input: ['b', 'ids', 'scales'], output: ['embedded'] }
    const names = expand({ initializer, node: [lookup, node] }).initializer.map(({ name }) => name)
    expect(names).toEqual(['b', 'scales', expect.any(String)])
  })

  it('is removed if no node reads it any more', () => {
    expect(expand({ initializer, node: [node] }).initializer).toHaveLength(1)
  })
})

describe('a node stays unchanged', () => {
  const valid = quantize({ rows: 32, columns: 4, bits: 4, blockSize: 16, zeroPoints: 'packed' })
  const attributes = { K: 32, N: 4, bits: 4, block_size: 16 }
  const all = ['b', 'scales', 'zeros']
  const replaceTensor = (name: string, change: Partial<TensorProto>) =>
    valid.initializer.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor))

  it.each<[string, Graph]>([
    ['with g_idx', { node: [createProduct([...all, 'g_idx'], attributes)] }],
    ['with a bias', { node: [createProduct([...all, '', 'bias'], attributes)] }],
    ['with two bits', { node: [createProduct(all, { K: 64, N: 4, bits: 2, block_size: 32 })] }],
    ['with a prepacked layout', { node: [createProduct(all, { ...attributes, weight_prepacked: 1 })] }],
    ['without a block size', { node: [createProduct(['b', 'scales'], { K: 32, N: 4, bits: 4 })] }],
    [
      'whose blocks end within a byte',
      {
        initializer: replaceTensor('b', { rawData: new Uint8Array(60) }),
        node: [createProduct(all, { K: 30, N: 4, bits: 4, block_size: 15 })],
      },
    ],
    [
      'with an empty weight',
      {
        initializer: valid.initializer.map((tensor) => ({ ...tensor, rawData: new Uint8Array() })),
        node: [createProduct(all, { ...attributes, K: 0 })],
      },
    ],
    ['whose shape differs from that of its weight', { node: [createProduct(all, { ...attributes, N: 5 })] }],
    ['of another domain', { node: [{ ...valid.node, domain: 'elsewhere' }] }],
    ['whose weight is computed', { initializer: valid.initializer.filter(({ name }) => name !== 'b') }],
    ['whose weight is an input', { input: [{ name: 'a' }, { name: 'b' }] }],
    ['whose weight is not bytes', { initializer: replaceTensor('b', { dataType: 3 }) }],
    ['with scales of another size', { initializer: replaceTensor('scales', { dataType: types.float16 }) }],
    [
      'with too few scales',
      { initializer: replaceTensor('scales', { rawData: toBytes([1, 2, 3, 4, 5, 6, 7]) }) },
    ],
    [
      'with too few zero points',
      { initializer: replaceTensor('zeros', { rawData: Uint8Array.of(1, 2, 3) }) },
    ],
    ['whose zero points are float16', { initializer: replaceTensor('zeros', { dataType: types.float16 }) }],
    ['whose zero points are computed', { node: [createProduct(['b', 'scales', 'computed'], attributes)] }],
    ['whose file is missing', { initializer: replaceTensor('b', describeExternal({ location: 'missing' })) }],
    [
      'whose file is too short',
      { initializer: replaceTensor('b', describeExternal({ location: 'short', offset: '8', length: '64' })) },
    ],
  ])('%s', (_, change) => {
    const model = decodeModel({ initializer: valid.initializer, node: [valid.node], ...change })
    const before = toBinary(ModelProtoSchema, model)
    const files = [{ path: 'short', data: new Uint8Array(64) }]
    expect(expandWeights(model, files)).toEqual({ kind: 'unchanged', reason: expect.any(String) })
    expect(toBinary(ModelProtoSchema, model)).toEqual(before)
  })

  it('next to a node that is expanded', () => {
    const biased = createProduct([...all, '', 'bias'], attributes, 'z')
    const { nodes, initializer } = expand({
      initializer: valid.initializer,
      node: [valid.node, biased],
    })
    expect(nodes.map(({ opType }) => opType)).toEqual(['MatMul', 'MatMulNBits'])
    expect(initializer.map(({ name }) => name)).toEqual(expect.arrayContaining(all))
  })
})

describe('weights near the size limit', () => {
  /** Each weight takes 128 MiB as f32. All share the same quantized bytes. */
  function createGraph(count: number) {
    const [rows, columns, blockSize] = [8192, 4096, 8192]
    const names = Array.from({ length: count }, (_, index) => String(index))
    const createTensor = (name: string, location: string, dataType: number) =>
      create(TensorProtoSchema, { name, dataType, ...describeExternal({ location }) })
    const files = [
      { path: 'b', data: new Uint8Array((rows * columns) / 2) },
      { path: 'scales', data: new Uint8Array(columns * 4) },
    ]
    const graph: Graph = {
      initializer: names.flatMap((name) => [
        createTensor(`b${name}`, 'b', types.uint8),
        createTensor(`scales${name}`, 'scales', types.float32),
      ]),
      node: names.map((name) =>
        createProduct(
          [`b${name}`, `scales${name}`],
          { K: rows, N: columns, bits: 4, block_size: blockSize },
          name,
        ),
      ),
    }
    return [graph, files] as const
  }

  it('all stay quantized if they exceed it together', () => {
    const [graph, files] = createGraph(6)
    expect(expandWeights(decodeModel(graph), files)).toMatchObject({
      kind: 'unchanged',
      reason: expect.stringContaining('805306368 bytes'),
    })
  })

  it('are all expanded up to 640 MiB', () => {
    expect(expand(...createGraph(5)).externalData).toHaveLength(7)
  })
})
