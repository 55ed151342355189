import { create } from '@bufbuild/protobuf'
import { formatRotaryTableName } from './graph-names.js'
import { computeValues } from './graph-values.js'
import type { CacheSizes } from './model-config.js'
import {
  TensorProto_DataLocation,
  ValueInfoProtoSchema,
  type GraphProto,
  type TensorProto,
} from './onnx_pb.js'
import { tensorTypes } from './tensor-types.js'

/** The two tables of rotary factors of a graph: of their cosines, or of their sines. Each has one row per position. */
export interface RotaryTables {
  /** The name of the input for the table, [rows, width]. */
  readonly input: string
  readonly type: 'float32' | 'float16'
  readonly width: number
  /** The table for sequences of up to `rotarySwitch` tokens. */
  readonly short: Uint8Array<ArrayBuffer>
  /** The table for longer sequences. */
  readonly long: Uint8Array<ArrayBuffer>
}

const elementTypes = new Map<number, RotaryTables['type']>([
  [tensorTypes.float32, 'float32'],
  [tensorTypes.float16, 'float16'],
])

/** Returns the table for a total length. */
export function chooseTable(
  { short, long }: RotaryTables,
  rotarySwitch: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  return length > rotarySwitch ? long : short
}

/** The operators that read a row of the table for each position. */
const rotaryOperators = new Set(['GroupQueryAttention', 'RotaryEmbedding'])

/**
 * Replaces the `If` nodes that choose the rotary factors by the total length (longrope: Phi-3.5, Phi-4-mini), by inputs for
 * the tables. ONNX Runtime cannot capture an `If`, and copies the table in each run.
 *
 * @param rotarySwitch the largest length for which the first tables are used
 * @returns the tables; empty if the graph has no such node, or if it has another form, which stays unchanged
 */
export function replaceRotarySwitch(
  graph: GraphProto,
  rotarySwitch: number,
  sizes: CacheSizes,
): RotaryTables[] {
  const node = graph.node.find(({ opType }) => opType === 'If')
  if (!node || rotarySwitch === Infinity) return []
  const [isShort, isLong] = [rotarySwitch - 1, rotarySwitch].map(
    (pastTokens) =>
      computeValues(graph, { newTokens: 1, pastTokens }, sizes)
        .get(node.input[0] ?? '')
        ?.read()?.[0],
  )
  const branches = ['else_branch', 'then_branch'].map(
    (name) => node.attribute.find((each) => each.name === name)?.g,
  )
  if (isShort === undefined || isLong === undefined || isShort === isLong) return []
  const tables = node.output.map((_, index) => {
    const [short, long] = [isShort, isLong].map((condition) => readBranch(branches[condition], index))
    return short && long && readTables(formatRotaryTableName(index), short, long)
  })
  const known = tables.flatMap((table) => table ?? [])
  const readers = graph.node.filter(({ input }) => input.some((name) => node.output.includes(name)))
  const isKnown = known.length === tables.length && readers.every(({ opType }) => rotaryOperators.has(opType))
  if (!isKnown) return []
  const names = new Map(node.output.map((output, index) => [output, known[index]!.input]))
  for (const reader of readers) reader.input = reader.input.map((name) => names.get(name) ?? name)
  graph.node = graph.node.filter((each) => each !== node)
  graph.input.push(...known.map(createInput))
  return known
}

/** Reads an output of a branch, if it is a constant. */
function readBranch(branch: GraphProto | undefined, index: number): TensorProto | undefined {
  const name = branch?.output[index]?.name
  const constant = branch?.node.find(({ output, opType }) => opType === 'Constant' && output[0] === name)
  return (
    constant?.attribute.find((attribute) => attribute.name === 'value')?.t ??
    branch?.initializer.find((tensor) => tensor.name === name)
  )
}

function readTables(input: string, short: TensorProto, long: TensorProto): RotaryTables | undefined {
  const type = elementTypes.get(short.dataType)
  const width = Number(short.dims[1] ?? 0n)
  if (!type || long.dataType !== short.dataType || Number(long.dims[1] ?? 0n) !== width) return undefined
  const [shortBytes, longBytes] = [short, long].map((tensor) => readBytes(tensor, type))
  return shortBytes && longBytes && { input, type, width, short: shortBytes, long: longBytes }
}

/** Copies the bytes, so that the file need not stay in memory. */
function readBytes({ dims, rawData, dataLocation }: TensorProto, type: RotaryTables['type']) {
  const size = dims.reduce((product, each) => product * Number(each), type === 'float16' ? 2 : 4)
  if (dataLocation === TensorProto_DataLocation.EXTERNAL || rawData.byteLength !== size || dims.length !== 2)
    return undefined
  return new Uint8Array(rawData)
}

function createInput({ input, type, width }: RotaryTables) {
  const dim = [
    { value: { case: 'dimParam' as const, value: 'rotary_rows' } },
    { value: { case: 'dimValue' as const, value: BigInt(width) } },
  ]
  const elemType = tensorTypes[type]
  return create(ValueInfoProtoSchema, {
    name: input,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  })
}
