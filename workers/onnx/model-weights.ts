import { fromBinary } from '@bufbuild/protobuf'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { float16Dtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { readNow } from '../store/read-from.js'
import { readWhole } from '../store/readable-file.js'
import type { ExternalFile } from './external-data.js'
import { nameGraphFile, readDtype, readRecommendedDtype } from './graph-files.js'
import { embeddingsInput } from './graph-names.js'
import { mergeGraphs, type GraphFile } from './merge-graphs.js'
import { ModelProtoSchema, TensorProto_DataLocation, type ModelProto } from './onnx_pb.js'
import {
  decoderNames,
  describeFloat16Need,
  findEmbedding,
  listOtherGraphs,
  listPaths,
  listPresent,
} from './split-files.js'

/** A model's graph and the files with its weights. The graphs of a split model are merged into one. */
export interface ModelWeights {
  /** The dtype of the decoder. Undefined for a graph with a name that does not contain it. */
  readonly dtype: OnnxDtype | undefined
  /** The content of the `.onnx` file, or the merged graph. */
  readonly graph: Uint8Array<ArrayBuffer>
  /** The decoded `graph`. Its weights are views of `graph`. */
  readonly model: ModelProto
  readonly externalData: readonly ExternalFile[]
}

/** A model, and the paths of the files in its folder that it was read from. */
export interface ReadWeights extends ModelWeights {
  readonly files: readonly string[]
}

/**
 * Reads the model in the dtype that its `config.json` recommends, if the device computes it well; otherwise in the first dtype
 * of `dtypes` that exists in the folder. On a plain server, a recommended dtype saves requests for files that do not exist.
 * External files are only opened: keep the folder open until the sessions are created.
 * @param device the dtypes to try, and those that the device cannot compute
 * @param check gets the graph before its external files are opened, and can refuse the graph by throwing or rejecting
 * @param modelFile the path of the graph; undefined to choose it by dtype
 * @throws RivuletError `model-not-found` if no dtype of `dtypes` exists, or if a file of the model is missing;
 *   `backend-unavailable` if the folder has only dtypes that the device cannot compute; `model-unsupported` if the graphs of
 *   a split model cannot be merged; `model-invalid`; `download-failed`
 */
export async function readModelWeights(
  folder: ModelFolder,
  device: DeviceDtypes,
  check: (model: ModelProto) => void | Promise<void>,
  modelFile?: string,
): Promise<ReadWeights> {
  const candidates =
    modelFile === undefined
      ? await listCandidates(folder, device.dtypes)
      : [{ dtype: readDtype(modelFile), path: modelFile }]
  for (const candidate of candidates) {
    const decoder = await readGraphFile(folder, candidate.path)
    if (!decoder) continue
    const embedding = readsEmbeddings(decoder)
      ? await findEmbedding(folder, device, candidate, (path) => readGraphFile(folder, path))
      : undefined
    // Listed before the merge, which also makes the weights inside the graph files external.
    const external = listExternalFiles(embedding ? [embedding, decoder] : [decoder])
    const { graph, model, externalData } = embedding
      ? mergeGraphs(embedding, decoder)
      : { graph: decoder.bytes, model: decoder.model, externalData: [] }
    await check(model)
    const { dtype } = candidate
    const files = await openFiles(folder, external)
    return {
      dtype,
      graph,
      model,
      externalData: [...externalData, ...files.map(({ path, data }) => ({ path, data }))],
      files: [candidate.path, ...(embedding ? [embedding.path] : []), ...files.map(({ file }) => file)],
    }
  }
  if (modelFile !== undefined) {
    throw new RivuletError(
      'model-not-found',
      `${folder.url} has no ${modelFile}. Check the path in onnx({ modelFile }).`,
    )
  }
  throw await explainMissing(folder, device)
}

/** Lists the graph files to try, in this order. */
async function listCandidates(folder: ModelFolder, dtypes: readonly OnnxDtype[]) {
  // A config that cannot be read is reported by those that need it.
  const config = dtypes.length < 2 ? undefined : await folder.readJson('config.json').catch(() => undefined)
  return decoderNames.flatMap((name) =>
    rankDtypes(dtypes, config && readRecommendedDtype(config, name)).map((dtype) => ({
      dtype,
      path: nameGraphFile(dtype, name),
    })),
  )
}

function rankDtypes(dtypes: readonly OnnxDtype[], recommended: OnnxDtype | undefined): readonly OnnxDtype[] {
  if (recommended === undefined || !dtypes.includes(recommended)) return dtypes
  // A device whose best dtype is not in 16-bit floats computes them slowly.
  const isSlow = float16Dtypes.includes(recommended) && !float16Dtypes.includes(dtypes[0]!)
  return isSlow ? dtypes : [recommended, ...dtypes.filter((dtype) => dtype !== recommended)]
}

/** Creates the error for a folder that has none of `dtypes`. The message names the graph files that the folder has. */
async function explainMissing(
  folder: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
): Promise<RivuletError> {
  const { url } = folder
  const wanted = dtypes.map((dtype) => nameGraphFile(dtype)).join(', ')
  const present = await listPresent(folder, decoderNames)
  const usable = present.filter(({ dtype }) => !unsupported.includes(dtype))
  if (present.length > 0 && usable.length === 0)
    return new RivuletError(
      'backend-unavailable',
      `${url} has only ${listPaths(present)}. ${describeFloat16Need()}, or a model with one of ${wanted}.`,
    )
  if (usable.length > 0) {
    const choices = [...new Set(usable.map(({ dtype }) => `'${dtype}'`))].join(' or ')
    return new RivuletError(
      'model-not-found',
      `${url} has none of the files ${wanted}. It has ${listPaths(usable)}. Use dtype ${choices}.`,
    )
  }
  const others = await listOtherGraphs(folder)
  const found = others.length > 0 ? `has ${listPaths(others)}, but` : 'has'
  return new RivuletError(
    'model-not-found',
    `${url} ${found} none of the files that generate text: ${wanted}, or onnx/decoder_model_merged*.onnx. Try another model.`,
  )
}

async function readGraphFile(folder: ModelFolder, path: string): Promise<GraphFile | undefined> {
  const file = await folder.openFile(path)
  if (!file) return undefined
  try {
    const bytes = readNow(path, () => readWhole(file))
    return { path, bytes, model: decodeModel(path, bytes) }
  } finally {
    file.close()
  }
}

function decodeModel(graphFile: string, graph: Uint8Array<ArrayBuffer>): ModelProto {
  try {
    const model = fromBinary(ModelProtoSchema, graph)
    if (model.graph) return model
    throw new Error('it contains no graph.')
  } catch (error) {
    throw new RivuletError('model-invalid', `${graphFile} is not an ONNX model: ${describeError(error)}`, {
      cause: error,
    })
  }
}

/** True if the graph reads embeddings, which another graph computes. */
function readsEmbeddings({ model: { graph } }: GraphFile): boolean {
  return graph?.input.some(({ name }) => name === embeddingsInput) ?? false
}

/** @param external the paths of external files, each with the graph file that needs it */
function openFiles(folder: ModelFolder, external: ReadonlyMap<string, string>) {
  return Promise.all(
    [...external].map(async ([path, graphFile]) => {
      const directory = graphFile.slice(0, graphFile.lastIndexOf('/') + 1)
      const file = directory + path
      const data = await folder.openFile(file)
      if (data) return { path, file, data }
      throw new RivuletError('model-not-found', `${folder.url} has no ${file}, which ${graphFile} needs.`)
    }),
  )
}

/** onnxruntime-web 1.30.0 reads an external file at 32-bit offsets. Larger ones would silently wrap around. */
const maxFileBytes = 2 ** 32

/**
 * Lists the files of the external tensors (ONNX, "External Data"). Only files next to the graphs are allowed.
 * @returns the paths of the files, each with the graph file that needs it
 * @throws RivuletError `model-invalid` if a file is not next to the graph, `model-unsupported` if a file is too large
 */
function listExternalFiles(files: readonly GraphFile[]): ReadonlyMap<string, string> {
  return new Map(files.flatMap((file) => listLocations(file).map((path) => [path, file.path])))
}

function listLocations({ path: graphFile, model: { graph } }: GraphFile): string[] {
  const external = graph?.initializer.filter(
    ({ dataLocation }) => dataLocation === TensorProto_DataLocation.EXTERNAL,
  )
  return (external ?? []).map((tensor) => {
    const read = (key: string) => tensor.externalData.find((entry) => entry.key === key)?.value
    const path = read('location') ?? ''
    if (Number(read('offset') ?? 0) + Number(read('length') ?? 0) > maxFileBytes) {
      throw new RivuletError(
        'model-unsupported',
        `${graphFile} needs more than the first 4 GiB of "${path}" (the weight "${tensor.name}"). ONNX Runtime reads only these in a browser. Export the model with external data in several files.`,
      )
    }
    if (/^[\w-][\w.-]*$/.test(path)) return path
    throw new RivuletError(
      'model-invalid',
      `${graphFile} needs "${path}" (the weight "${tensor.name}"), which is outside its folder. Put both into one folder, and export the model again.`,
    )
  })
}
