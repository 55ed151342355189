import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { RivuletError } from '../../lib/contract/errors.js'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { nameGraphFile } from './graph-files.js'

/*
 * The files of a model that is split into several graphs, by their names in transformers.js (`src/models/session_config.js`).
 */

/** The graphs that compute logits, in the order in which a folder is searched for them: of a whole and of a split model. */
export const decoderNames = ['model', 'decoder_model_merged'] as const

/** The graph that computes the embeddings for `decoder_model_merged` from token ids. */
const embeddingName = 'embed_tokens'

/** The graphs that turn images or audio into embeddings. `onnx()` takes only text, so it does not load them. */
const encoderNames = ['vision_encoder', 'audio_encoder'] as const

type GraphName = (typeof decoderNames)[number] | typeof embeddingName | (typeof encoderNames)[number]

/** A graph file that exists in a folder. */
interface PresentFile {
  readonly path: string
  readonly dtype: OnnxDtype
}

/** All dtypes, the least precise first. */
const byPrecision: readonly OnnxDtype[] = [
  'q1f16',
  'q1',
  'q2f16',
  'q2',
  'bnb4',
  'q4f16',
  'q4',
  'uint8',
  'int8',
  'q8',
  'fp16',
  'fp32',
]

/**
 * Lists the dtypes to try for the embedding of a decoder, best first. Many folders do not have all dtypes for both graphs.
 * The order: the same dtype, then the more precise ones (the smallest file first), then the less precise ones.
 */
function listEmbeddingDtypes(decoder: OnnxDtype): readonly OnnxDtype[] {
  const index = byPrecision.indexOf(decoder)
  return [...byPrecision.slice(index), ...byPrecision.slice(0, index).toReversed()]
}

/**
 * Finds the embedding of a decoder.
 * @param decoder the path and the dtype of the decoder; the dtype is undefined if its name does not contain it
 * @param read reads a graph file; returns undefined if the folder has no such file
 * @throws RivuletError `model-not-found` if the folder has no embedding; `backend-unavailable` if it has only embeddings that
 *   the device cannot compute; the errors of `read`
 */
export async function findEmbedding<Graph>(
  folder: ModelFolder,
  { unsupported }: DeviceDtypes,
  decoder: { readonly path: string; readonly dtype: OnnxDtype | undefined },
  read: (path: string) => Promise<Graph | undefined>,
): Promise<Graph> {
  const { dtype: wanted = 'fp32' } = decoder
  for (const dtype of listEmbeddingDtypes(wanted)) {
    if (unsupported.includes(dtype)) continue
    const embedding = await read(nameGraphFile(dtype, embeddingName))
    if (embedding) return embedding
  }
  const needed = `${folder.url} has ${decoder.path}, which needs ${nameGraphFile(wanted, embeddingName)}`
  const present = await listPresent(folder, [embeddingName])
  if (present.length === 0)
    throw new RivuletError(
      'model-not-found',
      `${needed}. The folder has this file in no dtype. Copy it there, or use another model.`,
    )
  throw new RivuletError(
    'backend-unavailable',
    `${needed}. The folder has only ${listPaths(present)}. ${describeFloat16Need()}.`,
  )
}

/** Lists the graph files of a folder that generate no text by themselves. */
export function listOtherGraphs(folder: ModelFolder): Promise<readonly PresentFile[]> {
  return listPresent(folder, [embeddingName, ...encoderNames])
}

/** Lists the files of these graphs in the folder, in all dtypes. */
export async function listPresent(
  folder: ModelFolder,
  graphs: readonly GraphName[],
): Promise<readonly PresentFile[]> {
  const files = graphs.flatMap((graph) =>
    onnxDtypes.map((dtype) => ({ path: nameGraphFile(dtype, graph), dtype })),
  )
  // If a file cannot be checked, the error is still about the missing files.
  const isPresent = await Promise.all(files.map(({ path }) => folder.has(path).catch(() => false)))
  return files.filter((_, index) => isPresent[index])
}

export function listPaths(files: readonly PresentFile[]): string {
  return files.map(({ path }) => path).join(', ')
}

/** Returns the part of an error about files in 16-bit floats, without the final full stop. */
export function describeFloat16Need(): string {
  return "They need 16-bit floats (shader-f16), which this graphics adapter does not support. Use onnx({ device: 'wasm' })"
}
