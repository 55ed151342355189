import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { findGraphs } from './find-graphs.js'
import { mergeGraphs, type GraphFile } from './merge-graphs.js'
import { TensorProto_DataLocation, type ModelProto } from './onnx_pb.js'

/** A model's graph and the files with its weights. The graphs of a split model are merged into one. */
export interface ModelWeights {
  /** The dtype of the file with the decoder. */
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
  const { dtype, decoder, embedding } = await findGraphs(folder, device)
  const files = embedding ? [embedding, decoder] : [decoder]
  // Listed before the merge, which also makes the weights inside the graph files external.
  const needed = new Map(files.flatMap((file) => listExternalFiles(file).map((path) => [path, file.path])))
  const { graph, model, externalData } = embedding
    ? mergeGraphs(embedding, decoder)
    : { graph: decoder.bytes, model: decoder.model, externalData: [] }
  await check(model)
  return { dtype, graph, model, externalData: [...externalData, ...(await readFiles(folder, needed))] }
}

/** @param needed the paths of external files, each with the graph file that needs it */
async function readFiles(folder: ModelFolder, needed: ReadonlyMap<string, string>) {
  return Promise.all(
    [...needed].map(async ([path, graphFile]) => {
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
 * Lists the files of a graph's external tensors (ONNX, "External Data"). Only files next to the graph are allowed.
 * @throws RivuletError `model-invalid` if a file is not next to the graph
 */
function listExternalFiles({ path: graphFile, model: { graph } }: GraphFile): string[] {
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
