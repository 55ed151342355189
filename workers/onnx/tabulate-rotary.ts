import { create, toBinary } from '@bufbuild/protobuf'
import { referToFile } from './external-tensor.js'
import { addInt64, createNode, insertBefore, removeDeadNodes } from './graph-edit.js'
import { addPositionInput } from './graph-lengths.js'
import { graphInputs } from './graph-names.js'
import { createProbes, readValues, type Probes } from './graph-probes.js'
import type { ModelWeights } from './model-weights.js'
import { ModelProtoSchema, TensorProtoSchema, type GraphProto, type NodeProto } from './onnx_pb.js'
import { leaveWeightsInFile, type RewriteOptions } from './rewrite-graph.js'
import { tensorTypes } from './tensor-types.js'

type GraphFiles = Pick<ModelWeights, 'graph' | 'externalData'>

/** The operators that compute the functions of a rotary angle, in the order of their tables. */
const functions = ['Cos', 'Sin']

/** The path by which a graph refers to the tables. */
const tablesFile = 'rivulet.angles'
/** The path by which an exported graph with tables refers to the weights inside the original file. */
const exportedFile = 'exported.onnx'

/** For a larger table, the GPU computes the functions. WebGPU guarantees no larger storage binding. */
const maxTableBytes = 2 ** 27
/** The limit for all tables together: Gemma 3 has four. */
const maxTotalBytes = 2 ** 28

/** How exactly an angle must be the product of position and frequency: a few steps of a 32-bit float. */
const angleTolerance = 1e-6

/**
 * Replaces the cosines and sines of rotary angles by tables with one row per position, computed here. Optimum's exports
 * compute them in the graph. On a GPU, their error may be 2⁻¹¹ for angles in [-π, π], and anything for larger ones
 * (https://www.w3.org/TR/WGSL/#concrete-float-accuracy), and an angle can be as large as the position. On SwiftShader, the
 * error is 0.0002. Where a graph rounds activations to 8 bits, such an error becomes a whole step.
 *
 * Modifies `model`: its weights stay views of `graph`.
 * @returns the tables, and the exported graph with them; undefined if the graph computes no such functions
 */
export function tabulateRotary(
  { graph, model, externalData }: ModelWeights,
  options: Pick<RewriteOptions, 'contextLength' | 'cacheSizes'>,
): { readonly tables: GraphFiles['externalData']; readonly exported: GraphFiles } | undefined {
  if (!model.graph?.node.some(({ opType }) => functions.includes(opType))) return undefined
  const data = replaceFunctions(model.graph, options)
  if (!data) return undefined
  const tables = [{ path: tablesFile, data }]
  // Copied, since the rewrite of the graph still reads weights inside the file.
  const initializer = model.graph.initializer.map((tensor) => ({ ...tensor }))
  const exported = { ...model.graph, initializer }
  leaveWeightsInFile(exported, exportedFile)
  return {
    tables,
    exported: {
      graph: toBinary(ModelProtoSchema, { ...model, graph: exported }),
      externalData: [...externalData, ...tables, { path: exportedFile, data: graph }],
    },
  }
}

/** @returns the content of `tablesFile`, or undefined if no function is replaced */
function replaceFunctions(
  graph: GraphProto,
  { contextLength, cacheSizes }: Pick<RewriteOptions, 'contextLength' | 'cacheSizes'>,
): Uint8Array<ArrayBuffer> | undefined {
  const probes = createProbes(graph, cacheSizes, contextLength)
  if (!hasPlainPositions(graph, probes)) return undefined
  /** For the frequencies of angles: the number of their tables before, and the values of their two tables. */
  const tables = new Map<string, { readonly first: number; readonly values: readonly Float32Array[] }>()
  let bytes = 0

  /** Returns the number of the first table, or undefined if the tables would be too large. */
  function addTables(frequencies: Float32Array): number | undefined {
    const key = frequencies.join()
    const known = tables.get(key)
    if (known) return known.first
    const tableBytes = contextLength * frequencies.byteLength
    if (tableBytes > maxTableBytes || bytes + functions.length * tableBytes > maxTotalBytes) return undefined
    const first = tables.size * functions.length
    const values = computeTables(frequencies, contextLength)
    const dims = [contextLength, frequencies.length].map(BigInt)
    for (const [index, { byteLength }] of values.entries()) {
      const tensor = { name: nameTable(first + index), dims, dataType: tensorTypes.float32 }
      const place = { location: tablesFile, offset: bytes, length: byteLength }
      graph.initializer.push(referToFile(create(TensorProtoSchema, tensor), place))
      bytes += byteLength
    }
    tables.set(key, { first, values })
    return first
  }

  // A copy, since the replacements change the list.
  for (const node of graph.node.slice()) {
    const index = functions.indexOf(node.opType)
    const angles = index === -1 ? undefined : readFrequencies(node.input[0] ?? '', probes)
    if (!angles) continue
    const frequencies = removeRepetition(angles)
    const first = addTables(frequencies)
    if (first === undefined) continue
    addPositionInput(graph)
    const isRepeated = frequencies.length < angles.length
    insertBefore(graph, node, ...readTable(graph, node, nameTable(first + index), isRepeated, probes))
    graph.node.splice(graph.node.indexOf(node), 1)
  }
  if (tables.size === 0) return undefined
  removeDeadNodes(graph)
  const data = new Uint8Array(bytes)
  let end = 0
  for (const table of [...tables.values()].flatMap(({ values }) => values)) {
    data.set(new Uint8Array(table.buffer), end)
    end += table.byteLength
  }
  return data
}

/** True if `position_ids` is missing or has two dimensions. With three, each token has several positions. */
function hasPlainPositions({ input }: GraphProto, { small }: Probes): boolean {
  const { positionIds } = graphInputs
  return !input.some(({ name }) => name === positionIds) || small.values.get(positionIds)?.dims.length === 2
}

/**
 * Reads the frequencies of a tensor [..., new tokens, width] in 32-bit floats, in which each row is the product of the position
 * of its token with the frequencies. So a scale that depends on the length, as in longrope, has no frequencies.
 */
function readFrequencies(name: string, probes: Probes): Float32Array | undefined {
  const values = readValues(probes, name)
  const width = values?.[0]?.dims.at(-1) ?? 0
  const start = probes.probe({ newTokens: 2, pastTokens: 0 }).values.get(name)?.read()
  if (!values || width === 0 || start?.length !== 2 * width) return undefined
  const frequencies = Float32Array.from({ length: width }, (_, index) => start[width + index]!)
  const areProducts = values.every(({ type, dims, read }, index) => {
    const { newTokens, pastTokens } = probes.all[index]!
    const elements = type === tensorTypes.float32 && dims.at(-1) === width ? read() : undefined
    if (elements?.length !== newTokens * width) return false
    return Array.from(elements).every((angle, place) => {
      const expected = (pastTokens + Math.floor(place / width)) * frequencies[place % width]!
      return Math.abs(angle - expected) <= angleTolerance * Math.abs(angle)
    })
  })
  return areProducts ? frequencies : undefined
}

/** Removes the second half if it repeats the first one, as for the two halves of a head. */
function removeRepetition(frequencies: Float32Array): Float32Array {
  const half = frequencies.length / 2
  const repeats =
    Number.isInteger(half) && frequencies.every((frequency, index) => frequency === frequencies[index % half])
  return repeats ? frequencies.slice(0, half) : frequencies
}

/**
 * Computes the cosines and the sines that a runtime with exact functions would: of angles that are rounded to 32-bit floats.
 * The unrounded angle turns by the frequency from row to row, which takes a fifth of the time of `Math.cos` and `Math.sin`.
 */
function computeTables(frequencies: Float32Array, rows: number): readonly Float32Array<ArrayBuffer>[] {
  const width = frequencies.length
  const cosines = new Float32Array(rows * width)
  const sines = new Float32Array(rows * width)
  for (const [index, frequency] of frequencies.entries()) {
    const [stepCosine, stepSine] = [Math.cos(frequency), Math.sin(frequency)]
    let [cosine, sine] = [1, 0]
    for (let position = 0, place = index; position < rows; position += 1, place += width) {
      const angle = position * frequency
      const rounding = Math.fround(angle) - angle
      // The first terms of the cosine and the sine of the rounding, which is less than 0.01.
      const near = 1 - rounding ** 2 / 2
      const turn = rounding - rounding ** 3 / 6
      cosines[place] = cosine * near - sine * turn
      sines[place] = sine * near + cosine * turn
      const next = cosine * stepCosine - sine * stepSine
      sine = sine * stepCosine + cosine * stepSine
      cosine = next
    }
  }
  return [cosines, sines]
}

function nameTable(index: number): string {
  return `${tablesFile}.${index}`
}

/** Creates the nodes that read a row for each new token, in the shape of the output of `node`. */
function readTable(
  graph: GraphProto,
  node: NodeProto,
  table: string,
  isRepeated: boolean,
  { small }: Probes,
): NodeProto[] {
  const [output = ''] = node.output
  const dims = small.values.get(node.input[0] ?? '')?.dims ?? []
  const isReshaped = dims.length !== 3
  const repeated = isReshaped ? `${output}.repeated` : output
  const rows = isRepeated ? `${output}.rows` : repeated
  const shape = dims.map((size, axis) => (axis < dims.length - 1 && size !== 1 ? -1 : size))
  return [
    createNode('Gather', [table, graphInputs.positionIds], [rows], { axis: 0n }),
    ...(isRepeated ? [createNode('Concat', [rows, rows], [repeated], { axis: -1n })] : []),
    ...(isReshaped ? [createNode('Reshape', [repeated, addInt64(graph, shape)], [output])] : []),
  ]
}
