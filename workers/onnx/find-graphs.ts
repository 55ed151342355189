import { fromBinary } from '@bufbuild/protobuf'
import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { encoderNames, listEmbeddingDtypes, nameGraphFile, type GraphName } from './graph-files.js'
import { embeddingsInput } from './graph-names.js'
import type { GraphFile } from './merge-graphs.js'
import { ModelProtoSchema, type ModelProto } from './onnx_pb.js'

/** The graph files of a model. */
export interface ModelGraphs {
  /** The dtype of the decoder. */
  readonly dtype: OnnxDtype
  /** The graph that computes the logits. */
  readonly decoder: GraphFile
  /** The graph that computes the decoder's embeddings; undefined for a decoder that reads token ids. */
  readonly embedding: GraphFile | undefined
}

/** The graphs that compute logits, in the order in which a folder is searched for them. */
const decoderNames = ['model', 'decoder_model_merged'] as const satisfies readonly GraphName[]

/**
 * Reads the model's graph in the first dtype of `dtypes` that exists in the folder; of a split model, the decoder and its
 * embedding. The embedding can have another dtype, because many folders do not have it in all dtypes.
 * @param unsupported the dtypes that the device cannot compute
 * @throws RivuletError `model-not-found` if a graph is missing; `backend-unavailable` if the folder has it only in dtypes of
 *   `unsupported`; `model-invalid`; `download-failed`
 */
export async function findGraphs(folder: ModelFolder, device: DeviceDtypes): Promise<ModelGraphs> {
  for (const name of decoderNames) {
    for (const dtype of device.dtypes) {
      const decoder = await readGraph(folder, nameGraphFile(name, dtype))
      if (!decoder) continue
      const needsEmbedding = decoder.model.graph?.input.some((input) => input.name === embeddingsInput)
      const embedding = needsEmbedding ? await findEmbedding(folder, device, decoder.path, dtype) : undefined
      return { dtype, decoder, embedding }
    }
  }
  throw await explainMissing(folder, device)
}

async function findEmbedding(
  folder: ModelFolder,
  { unsupported }: DeviceDtypes,
  decoderPath: string,
  decoderDtype: OnnxDtype,
): Promise<GraphFile> {
  const dtypes = listEmbeddingDtypes(decoderDtype)
  for (const dtype of dtypes) {
    if (unsupported.includes(dtype)) continue
    const embedding = await readGraph(folder, nameGraphFile('embed_tokens', dtype))
    if (embedding) return embedding
  }
  const present = await listPresent(folder, ['embed_tokens'])
  const needed = `${folder.url} has ${decoderPath}, which needs ${nameGraphFile('embed_tokens', decoderDtype)}`
  if (present.length === 0)
    throw new RivuletError(
      'model-not-found',
      `${needed}, but no such file of any dtype. Copy it into the folder, or use another model.`,
    )
  throw new RivuletError(
    'backend-unavailable',
    `${needed}, but has only ${listPaths(present)}. ${float16Advice}.`,
  )
}

async function readGraph(folder: ModelFolder, path: string): Promise<GraphFile | undefined> {
  const bytes = await folder.readBytes(path)
  return bytes && { path, bytes, model: decodeModel(path, bytes) }
}

function decodeModel(path: string, bytes: Uint8Array<ArrayBuffer>): ModelProto {
  try {
    const model = fromBinary(ModelProtoSchema, bytes)
    if (model.graph) return model
    throw new Error('it contains no graph.')
  } catch (error) {
    throw new RivuletError('model-invalid', `${path} is not an ONNX model: ${describeError(error)}`, {
      cause: error,
    })
  }
}

/** A graph file that exists in the folder. */
interface PresentFile {
  readonly path: string
  readonly dtype: OnnxDtype
}

const float16Advice =
  "They need 16-bit floats (shader-f16), which this graphics adapter does not support. Use onnx({ device: 'wasm' })"

/** Creates the error for a folder that has no decoder of `dtypes`. The message names the graph files that the folder has. */
async function explainMissing(
  folder: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
): Promise<RivuletError> {
  const { url } = folder
  const wanted = dtypes.map((dtype) => nameGraphFile('model', dtype)).join(', ')
  const present = await listPresent(folder, decoderNames)
  const usable = present.filter(({ dtype }) => !unsupported.includes(dtype))
  if (usable.length > 0) {
    const choices = [...new Set(usable.map(({ dtype }) => `'${dtype}'`))].join(' or ')
    return new RivuletError(
      'model-not-found',
      `${url} has none of the files ${wanted}. It has ${listPaths(usable)}. Use dtype ${choices}.`,
    )
  }
  if (present.length > 0)
    return new RivuletError(
      'backend-unavailable',
      `${url} has only ${listPaths(present)}. ${float16Advice}, or a model with one of ${wanted}.`,
    )
  const parts = await listPresent(folder, ['embed_tokens', ...encoderNames])
  const found = parts.length > 0 ? `has ${listPaths(parts)}, but` : 'has'
  return new RivuletError(
    'model-not-found',
    `${url} ${found} none of the files that generate text: ${wanted}, or onnx/decoder_model_merged*.onnx. Try another model.`,
  )
}

/** Lists the files of these graphs in the folder. */
async function listPresent(folder: ModelFolder, graphs: readonly GraphName[]): Promise<PresentFile[]> {
  const files = graphs.flatMap((graph) =>
    onnxDtypes.map((dtype) => ({ path: nameGraphFile(graph, dtype), dtype })),
  )
  // If a file cannot be checked, the error is still about the missing files.
  const isPresent = await Promise.all(files.map(({ path }) => folder.has(path).catch(() => false)))
  return files.filter((_, index) => isPresent[index])
}

function listPaths(files: readonly PresentFile[]): string {
  return files.map(({ path }) => path).join(', ')
}
