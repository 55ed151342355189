import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { RivuletError } from '../../lib/contract/errors.js'
import { embeddingsInput, graphInputs } from './graph-names.js'
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from './onnx_pb.js'
import { moveToFile, smallTensorBytes } from './external-tensor.js'

/** A graph, as read from its file. */
export interface GraphFile {
  /** The path in the model folder. */
  readonly path: string
  /** The content of the file. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The decoded content. Its weights are views of `bytes`. */
  readonly model: ModelProto
}

/** Two graphs as one. */
interface MergedGraph {
  readonly graph: Uint8Array<ArrayBuffer>
  /** The decoded `graph`. */
  readonly model: ModelProto
  /** The files of the two graphs, if weights inside them became external data. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[]
}

/** Put before the names of the embedding graph, so that they differ from all names in the decoder. */
const namePrefix = 'rivulet.embed_tokens/'

/**
 * Merges the two graphs of a split model into one graph from token ids to logits. Each output of `embedding` becomes the
 * input of the same name in `decoder`: `inputs_embeds`, and `per_layer_inputs` of Gemma 3n and 4. The embeddings then stay
 * on the device, and the graph can be rewritten and replayed like any other.
 *
 * Weights are not copied: large weights inside the files become external data, at their offset in the same file. Modifies
 * both models.
 * @throws RivuletError `model-unsupported` if the graphs do not have the inputs and outputs of a split model, or if their
 *   versions cannot be combined; `model-invalid` if the graphs do not belong together
 */
export function mergeGraphs(embedding: GraphFile, decoder: GraphFile): MergedGraph {
  const source = readGraph(embedding)
  const target = readGraph(decoder)
  combineOperatorSets(embedding, decoder)
  const initializers = new Set(source.initializer.map(({ name }) => name))
  // Before version 4 of the format, initializers are also inputs.
  const inputs = source.input.filter(({ name }) => !initializers.has(name))
  const other = inputs.find(({ name }) => name !== graphInputs.tokenIds)
  if (other) throw refuse(embedding, `it has the unknown input "${other.name}"`)
  const [tokenIds] = inputs
  if (!tokenIds) throw refuse(embedding, `it has no input "${graphInputs.tokenIds}"`)

  const joined = source.output.flatMap((output) => {
    const input = target.input.find(({ name }) => name === output.name)
    return input ? [{ output, input }] : []
  })
  if (!joined.some(({ input }) => input.name === embeddingsInput))
    throw refuse(embedding, `it has no output "${embeddingsInput}" for ${decoder.path}`)
  for (const { output, input } of joined) checkSizes(embedding, output, decoder, input)

  const casts = joined.flatMap(({ output, input: { name }, input }) => {
    const [written, read] = [output, input].map((value) => readTensorType(value)?.elemType)
    return written && read && written !== read ? [createCast(namePrefix + name, name, read)] : []
  })
  const isCast = new Set(casts.flatMap((cast) => cast.output))
  const kept = new Set(joined.flatMap(({ input: { name } }) => (isCast.has(name) ? [] : [name])))
  kept.add('').add(graphInputs.tokenIds)
  renameValues(source, (name) => (kept.has(name) ? name : namePrefix + name))

  const externalData = [embedding, decoder].flatMap(leaveWeightsInFile)
  const isJoined = new Set(joined.map(({ input }) => input.name))
  const remaining = target.input.filter(({ name }) => !isJoined.has(name) && name !== graphInputs.tokenIds)
  target.input = [tokenIds, ...remaining]
  target.initializer = [...source.initializer, ...target.initializer]
  target.node = [...source.node, ...casts, ...target.node]
  const graph = toBinary(ModelProtoSchema, decoder.model)
  return { graph, model: fromBinary(ModelProtoSchema, graph), externalData }
}

function readGraph(file: GraphFile): GraphProto {
  if (file.model.graph) return file.model.graph
  throw refuse(file, 'it contains no graph')
}

/**
 * The first version of ONNX's operators after which no operator of a language model gets another meaning without another
 * signature: version 13 changed the default axis of Softmax. ONNX Runtime refuses a node whose signature does not fit its
 * version. (Compared with ONNX 1.23, versions 13 to 28.)
 */
const firstStableVersion = 13n

/**
 * The operators whose signature version 18 changed: an attribute became an input, or a new attribute is required. The other
 * changes of signatures from version 13 on add something optional.
 */
const changedIn18 = /^(?:Reduce(?!Sum$)\w+|Split)$/

/** Gives the merged graph the operator sets of both graphs. */
function combineOperatorSets(embedding: GraphFile, decoder: GraphFile): void {
  const sets = new Map(decoder.model.opsetImport.map((set) => [readDomain(set.domain), set]))
  for (const { domain, version } of embedding.model.opsetImport) {
    const set = sets.get(readDomain(domain))
    if (!set) {
      decoder.model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version }))
      continue
    }
    if (version === set.version) continue
    if (readDomain(domain) !== '' || isUnstable(version, set.version))
      throw refuse(
        embedding,
        `it uses version ${version} of the operators "${domain || 'ai.onnx'}", but ${decoder.path} uses version ${set.version}`,
      )
    // The higher version has everything that the lower one has, except for the signatures of some operators.
    if (version > set.version && canRaiseVersion(decoder, set.version, version)) set.version = version
  }
}

/** True if all operators of a graph keep their signature in a higher version. */
function canRaiseVersion({ model }: GraphFile, from: bigint, to: bigint): boolean {
  const crosses18 = from < 18n && to >= 18n
  return !crosses18 || !listOperators(model.graph?.node ?? []).some((name) => changedIn18.test(name))
}

/** Lists the operators of nodes, also those of the graphs inside them. */
function listOperators(nodes: readonly NodeProto[]): readonly string[] {
  return nodes.flatMap(({ opType, attribute }) => [
    opType,
    ...attribute.flatMap(({ g }) => listOperators(g?.node ?? [])),
  ])
}

function isUnstable(...versions: readonly bigint[]): boolean {
  return versions.some((version) => version < firstStableVersion)
}

/** Both names mean ONNX's own operators. */
function readDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain
}

/** Checks that an embedding has as many values as the decoder reads, if both graphs declare the number. */
function checkSizes(
  embedding: GraphFile,
  output: ValueInfoProto,
  decoder: GraphFile,
  input: ValueInfoProto,
): void {
  const [written, read] = [output, input].map((value) => readTensorType(value)?.shape?.dim.at(-1)?.value)
  if (written?.case !== 'dimValue' || read?.case !== 'dimValue' || written.value === read.value) return
  throw new RivuletError(
    'model-invalid',
    `${embedding.path} and ${decoder.path} do not belong together: "${input.name}" has ${written.value} values per token in the first, and ${read.value} in the second. Export both from the same model.`,
  )
}

function readTensorType({ type }: ValueInfoProto) {
  return type?.value.case === 'tensorType' ? type.value.value : undefined
}

/** Renames all nodes and values of a graph, also in the graphs inside its nodes. */
function renameValues(graph: GraphProto, rename: (name: string) => string): void {
  for (const value of [...graph.input, ...graph.output, ...graph.initializer]) value.name = rename(value.name)
  for (const node of graph.node) {
    node.name = rename(node.name)
    node.input = node.input.map(rename)
    node.output = node.output.map(rename)
    for (const { g } of node.attribute) if (g) renameValues(g, rename)
  }
}

function createCast(input: string, output: string, to: number): NodeProto {
  return create(NodeProtoSchema, {
    name: `${input}/cast`,
    opType: 'Cast',
    input: [input],
    output: [output],
    attribute: [{ name: 'to', i: BigInt(to), type: AttributeProto_AttributeType.INT }],
  })
}

/** Makes the large weights inside a file external data of the merged graph. @returns the file, if it has such weights */
function leaveWeightsInFile({ path, bytes, model }: GraphFile): MergedGraph['externalData'] {
  // Paths of external data are relative to the graph's folder.
  const name = path.slice(path.lastIndexOf('/') + 1)
  const large = (model.graph?.initializer ?? []).filter(
    ({ rawData }) => rawData.byteLength > smallTensorBytes,
  )
  for (const tensor of large) moveToFile(tensor, name)
  return large.length > 0 ? [{ path: name, data: bytes }] : []
}

function refuse({ path }: GraphFile, reason: string): RivuletError {
  return new RivuletError(
    'model-unsupported',
    `onnx() cannot use ${path}: ${reason}. Use a model from onnx-community.`,
  )
}
