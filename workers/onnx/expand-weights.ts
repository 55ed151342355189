import { create, toBinary } from '@bufbuild/protobuf'
import { createLazyFile, readPart, type ExternalFile } from './external-data.js'
import { decodeFloat16 } from './float16.js'
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorProto_DataLocation,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/**
 * The limit for all f32 weights together, in bytes. The weights take about twice as much memory, since ONNX Runtime also
 * packs them for its kernels.
 */
const maxExpandedBytes = 640 * 2 ** 20

/** The number of columns that are written together. It is small enough for their quantized bytes to stay in a CPU cache. */
const tileColumns = 256

/** The result of `expandWeights`: the expanded graph, or the reason why the graph is unchanged. */
export type Expansion =
  | {
      readonly kind: 'expanded'
      readonly graph: Uint8Array<ArrayBuffer>
      readonly externalData: readonly ExternalFile[]
    }
  | { readonly kind: 'unchanged'; readonly reason: string }

/**
 * Replaces matrix products with block-quantized weights (`MatMulNBits`, 4 or 8 bits) by `MatMul` with f32 weights [K, N].
 * On WASM, ONNX Runtime dequantizes all quantized weights for each token. The f32 weights are dequantized only once, at
 * load, but are four to eight times larger. Each f32 weight is a separate file in `externalData`. The weight is computed
 * when ONNX Runtime reads its file, so only one f32 weight needs to exist at a time.
 *
 * A product of float16 values is also computed in f32, between two casts.
 *
 * A node that `MatMul` cannot replace (with `g_idx`, a bias or another layout) stays unchanged. All nodes stay unchanged if
 * the f32 weights would exceed 640 MiB. Modifies `model`, unless the result is `unchanged`.
 *
 * @param model a model whose weights are in its own file or in `externalData`
 */
export function expandWeights(model: ModelProto, externalData: readonly ExternalFile[]): Expansion {
  const { graph } = model
  if (!graph) return { kind: 'unchanged', reason: 'it contains no graph' }
  const readTensor = createTensorReader(graph, externalData)
  const weights = new Map<string, BlockWeight & { readonly nodes: NodeProto[] }>()
  for (const node of graph.node) {
    const weight = readBlockWeight(node, readTensor)
    if (!weight) continue
    const { rows, columns, bits, blockSize } = weight
    const key = JSON.stringify([node.input.slice(1), rows, columns, bits, blockSize])
    const same = weights.get(key)
    if (same) same.nodes.push(node)
    else weights.set(key, { ...weight, nodes: [node] })
  }
  if (weights.size === 0) return { kind: 'unchanged', reason: 'it has no weights to expand' }
  const sizeBytes = [...weights.values()].reduce((sum, { rows, columns }) => sum + rows * columns * 4, 0)
  if (sizeBytes > maxExpandedBytes)
    return { kind: 'unchanged', reason: `its weights would take ${sizeBytes} bytes as f32` }

  const replaced = new Set<string>()
  const files = [...weights.values()].map(({ nodes, ...weight }, index) => {
    const name = `rivulet.expanded.${index}`
    // Cannot clash with the name of a file of the model, since those names contain no slash.
    const path = `rivulet/expanded.${index}`
    const { rows, columns } = weight
    graph.initializer.push(createExternalTensor(name, [rows, columns], path))
    for (const node of nodes) {
      for (const input of node.input.slice(1)) replaced.add(input)
      useExpanded(graph, node, name, weight.type)
    }
    const data = createLazyFile(rows * columns * 4, (start, end) =>
      new Uint8Array(dequantizeTransposed(weight).buffer).subarray(start, end),
    )
    return { path, data }
  })
  removeUnread(graph, replaced)
  return {
    kind: 'expanded',
    graph: toBinary(ModelProtoSchema, model),
    externalData: [...externalData, ...files],
  }
}

/** A block-quantized weight: column `n` of the product is row `n` of `packed`. */
interface BlockWeight {
  /** The type of the scales, and of the input and output of the node. */
  readonly type: FloatType
  /** K: the length of the input vector. */
  readonly rows: number
  /** N: the length of the output vector. */
  readonly columns: number
  readonly bits: number
  /** The number of rows that share a scale and a zero point. */
  readonly blockSize: number
  /** Reads the quantized values, [N, blocks, blockSize * bits / 8], low bits first. */
  readonly readPacked: () => Uint8Array
  /** One scale per block, [N, blocks]. */
  readonly scales: Float32Array
  /** One zero point per block, [N, blocks]. */
  readonly zeroPoints: Float32Array
}

interface TensorBytes {
  readonly type: number
  readonly byteLength: number
  /** Reads the bytes: of a tensor in an external file, only now. */
  read(): Uint8Array
}

type ReadTensor = (name: string | undefined) => TensorBytes | undefined

/**
 * Creates a function that reads constants by name. An initializer that is also an input is not a constant, since a caller
 * may replace it.
 */
function createTensorReader(graph: GraphProto, externalData: readonly ExternalFile[]): ReadTensor {
  const inputs = new Set(graph.input.map(({ name }) => name))
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))
  const files = new Map(externalData.map(({ path, data }) => [path, data]))

  return (name = '') => {
    const tensor = inputs.has(name) ? undefined : tensors.get(name)
    if (!tensor) return undefined
    const { dataType: type, dataLocation, rawData, externalData: entries } = tensor
    if (dataLocation !== TensorProto_DataLocation.EXTERNAL)
      return { type, byteLength: rawData.byteLength, read: () => rawData }
    const entry = (key: string) => entries.find((candidate) => candidate.key === key)?.value
    const file = files.get(entry('location') ?? '')
    const offset = Number(entry('offset') ?? 0)
    const length = Number(entry('length') ?? (file?.byteLength ?? 0) - offset)
    // A part that is not in the file is refused by ONNX Runtime.
    if (!file || !(offset >= 0 && length >= 0 && offset + length <= file.byteLength)) return undefined
    return { type, byteLength: length, read: () => readPart(file, offset, offset + length) }
  }
}

const knownAttributes = new Set(['K', 'N', 'bits', 'block_size', 'accuracy_level'])

/**
 * Returns the weight of a `MatMulNBits` node (ONNX Runtime, ContribOperators.md), or undefined if `MatMul` cannot replace
 * the node.
 */
function readBlockWeight(
  { opType, domain, input, attribute }: NodeProto,
  readTensor: ReadTensor,
): BlockWeight | undefined {
  if (opType !== 'MatMulNBits' || domain !== 'com.microsoft') return undefined
  if (input.slice(4).some((name) => name !== '')) return undefined
  if (attribute.some(({ name }) => !knownAttributes.has(name))) return undefined
  const readNumber = (name: string) => Number(attribute.find((candidate) => candidate.name === name)?.i ?? 0)
  const [rows, columns, blockSize] = [readNumber('K'), readNumber('N'), readNumber('block_size')]
  const bits = readNumber('bits') || 4
  if ((bits !== 4 && bits !== 8) || rows <= 0 || columns <= 0 || blockSize % 2 !== 0) return undefined
  const blocks = Math.ceil(rows / blockSize)
  const packed = readTensor(input[1])
  const packedBytes = (columns * blocks * blockSize * bits) / 8
  if (packed?.type !== tensorTypes.uint8 || packed.byteLength !== packedBytes) return undefined
  const scaleTensor = readTensor(input[2])
  const type = scaleTensor?.type === tensorTypes.float16 ? tensorTypes.float16 : tensorTypes.float32
  const scales = readFloats(scaleTensor, columns * blocks, type)
  const zeroPoints = scales && readZeroPoints(input[3], readTensor, { columns, blocks, bits, type })
  return zeroPoints && { type, rows, columns, bits, blockSize, readPacked: packed.read, scales, zeroPoints }
}

type FloatType = typeof tensorTypes.float32 | typeof tensorTypes.float16

function readFloats(
  tensor: TensorBytes | undefined,
  count: number,
  type: FloatType,
): Float32Array | undefined {
  const elementBytes = type === tensorTypes.float16 ? 2 : 4
  if (tensor?.type !== type || tensor.byteLength !== count * elementBytes) return undefined
  // Copies the bytes, since the offset of a tensor in its file need not be a multiple of the size of an element.
  const { buffer } = tensor.read().slice()
  return type === tensorTypes.float16
    ? Float32Array.from(new Uint16Array(buffer), decodeFloat16)
    : new Float32Array(buffer)
}

/**
 * Reads the zero points, [N, blocks]. Without a tensor, each zero point is half of the range. The tensor contains floats,
 * or packed integers with each row padded to whole bytes.
 */
function readZeroPoints(
  name: string | undefined,
  readTensor: ReadTensor,
  {
    columns,
    blocks,
    bits,
    type,
  }: Pick<BlockWeight, 'columns' | 'bits' | 'type'> & { readonly blocks: number },
): Float32Array | undefined {
  if (!name) return new Float32Array(columns * blocks).fill(2 ** (bits - 1))
  const tensor = readTensor(name)
  if (tensor?.type !== tensorTypes.uint8) return readFloats(tensor, columns * blocks, type)
  const rowBytes = Math.ceil((blocks * bits) / 8)
  if (tensor.byteLength !== columns * rowBytes) return undefined
  const bytes = tensor.read()
  return Float32Array.from({ length: columns * blocks }, (_, index) => {
    const bit = (index % blocks) * bits
    return (bytes[Math.floor(index / blocks) * rowBytes + (bit >> 3)]! >> (bit & 7)) & (2 ** bits - 1)
  })
}

/** Dequantizes a weight to f32, [K, N]. */
function dequantizeTransposed(weight: BlockWeight): Float32Array<ArrayBuffer> {
  const { rows, columns, bits, blockSize } = weight
  const packed = weight.readPacked()
  const blocks = Math.ceil(rows / blockSize)
  const blockBytes = (blockSize * bits) / 8
  const columnBytes = blocks * blockBytes
  const mask = 2 ** bits - 1
  const expanded = new Float32Array(rows * columns)
  const scales = new Float32Array(tileColumns)
  const zeroPoints = new Float32Array(tileColumns)
  for (let tile = 0; tile < columns; tile += tileColumns) {
    const width = Math.min(tileColumns, columns - tile)
    for (let block = 0; block < blocks; block += 1) {
      for (let column = 0; column < width; column += 1) {
        scales[column] = weight.scales[(tile + column) * blocks + block]!
        zeroPoints[column] = weight.zeroPoints[(tile + column) * blocks + block]!
      }
      const firstRow = block * blockSize
      const endRow = Math.min(firstRow + blockSize, rows)
      for (let row = firstRow; row < endRow; row += 1) {
        const bit = (row - firstRow) * bits
        const shift = bit & 7
        const target = row * columns + tile
        let source = tile * columnBytes + block * blockBytes + (bit >> 3)
        for (let column = 0; column < width; column += 1) {
          const quantized = (packed[source]! >> shift) & mask
          expanded[target + column] = (quantized - zeroPoints[column]!) * scales[column]!
          source += columnBytes
        }
      }
    }
  }
  return expanded
}

/** Creates a tensor that fills the whole external file at `path`. */
function createExternalTensor(name: string, dims: readonly number[], path: string): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes.float32,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [create(StringStringEntryProtoSchema, { key: 'location', value: path })],
  })
}

function useExpanded(graph: GraphProto, node: NodeProto, weight: string, type: FloatType): void {
  const [input = ''] = node.input
  const [output = ''] = node.output
  node.opType = 'MatMul'
  node.domain = ''
  node.attribute = []
  node.input = [input, weight]
  if (type === tensorTypes.float32) return
  node.input[0] = `rivulet.expanded.input.${output}`
  node.output = [`rivulet.expanded.output.${output}`]
  graph.node.splice(
    graph.node.indexOf(node),
    1,
    createCast(input, node.input[0], tensorTypes.float32),
    node,
    createCast(node.output[0]!, output, type),
  )
}

function createCast(input: string, output: string, to: FloatType): NodeProto {
  const attribute = [{ name: 'to', i: BigInt(to), type: AttributeProto_AttributeType.INT }]
  return create(NodeProtoSchema, { opType: 'Cast', input: [input], output: [output], attribute })
}

/** Removes the replaced weights, except those that another node also reads. */
function removeUnread(graph: GraphProto, replaced: ReadonlySet<string>): void {
  const read = new Set([...graph.output.map(({ name }) => name), ...graph.node.flatMap(({ input }) => input)])
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name) || !replaced.has(name))
}
