import { fromBinary } from '@bufbuild/protobuf'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { nameGraphFile } from './graph-files.js'
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
  /** The dtype of the decoder. */
  readonly dtype: OnnxDtype
  /** The content of the `.onnx` file, or the merged graph. */
  readonly graph: Uint8Array<ArrayBuffer>
  /** The decoded `graph`. Its weights are views of `graph`. */
  readonly model: ModelProto
  /** The external data files. Each `path` is the path that the graph uses for the file. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[]
}

/**
 * Reads the model in the first dtype of `dtypes` that exists in the folder.
 * @param device the dtypes to try, and those that the device cannot compute
 * @param check gets the graph before its external files are read, and can refuse the graph by throwing or rejecting
 * @throws RivuletError `model-not-found` if no dtype of `dtypes` exists, or if a file of the model is missing;
 *   `backend-unavailable` if the folder has only dtypes that the device cannot compute; `model-unsupported` if the graphs of
 *   a split model cannot be merged; `model-invalid`; `download-failed`
 */
export async function readModelWeights(
  folder: ModelFolder,
  device: DeviceDtypes,
  check: (model: ModelProto) => void | Promise<void>,
): Promise<ModelWeights> {
  const candidates = decoderNames.flatMap((name) =>
    device.dtypes.map((dtype) => ({ dtype, path: nameGraphFile(dtype, name) })),
  )
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
    return { dtype, graph, model, externalData: [...externalData, ...(await readFiles(folder, external))] }
  }
  throw await explainMissing(folder, device)
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
  const bytes = await folder.readBytes(path)
  return bytes && { path, bytes, model: decodeModel(path, bytes) }
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
function readFiles(folder: ModelFolder, external: ReadonlyMap<string, string>) {
  return Promise.all(
    [...external].map(async ([path, graphFile]) => {
      const data = await folder.readBytes(`onnx/${path}`)
      if (data) return { path, data }
      throw new RivuletError(
        'model-not-found',
        `${folder.url} has no onnx/${path}, which ${graphFile} needs.`,
      )
    }),
  )
}

/**
 * Lists the files of the external tensors (ONNX, "External Data"). Only files next to the graphs are allowed.
 * @returns the paths of the files, each with the graph file that needs it
 * @throws RivuletError `model-invalid` if a file is not next to the graph
 */
function listExternalFiles(files: readonly GraphFile[]): ReadonlyMap<string, string> {
  return new Map(files.flatMap((file) => listLocations(file).map((path) => [path, file.path])))
}

function listLocations({ path: graphFile, model: { graph } }: GraphFile): string[] {
  const external = graph?.initializer.filter(
    ({ dataLocation }) => dataLocation === TensorProto_DataLocation.EXTERNAL,
  )
  return (external ?? []).map((tensor) => {
    const path = tensor.externalData.find((entry) => entry.key === 'location')?.value ?? ''
    if (/^[\w-][\w.-]*$/.test(path)) return path
    throw new RivuletError(
      'model-invalid',
      `${graphFile} needs "${path}" (the weight "${tensor.name}"), which is outside its folder. Put both into one folder, and export the model again.`,
    )
  })
}
