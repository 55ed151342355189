import { fromBinary } from '@bufbuild/protobuf'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { float16Dtypes, onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { nameGraphFile, readDtype, readRecommendedDtype } from './graph-files.js'
import { ModelProtoSchema, TensorProto_DataLocation, type ModelProto } from './onnx_pb.js'

/** A model's graph and the files with its weights. */
export interface ModelWeights {
  /** Undefined for a graph with a name that does not contain it. */
  readonly dtype: OnnxDtype | undefined
  /** The content of the `.onnx` file. */
  readonly graph: Uint8Array<ArrayBuffer>
  /** The decoded `graph`. Its weights are views of `graph`. */
  readonly model: ModelProto
  /** The external data files. Each `path` is the path that the graph uses for the file. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[]
}

/**
 * Reads the model in the dtype that its `config.json` recommends, if the device computes it well; otherwise in the first dtype
 * of `dtypes` that exists in the folder. On a plain server, a recommended dtype saves requests for files that do not exist.
 * @param unsupported the dtypes that the device cannot compute; they are used only to choose the error
 * @param check gets the graph before its external files are read, and can refuse the graph by throwing or rejecting
 * @param modelFile the path of the graph; undefined to choose it by dtype
 * @throws RivuletError `model-not-found` if no dtype of `dtypes` exists, or if an external file is missing;
 *   `backend-unavailable` if the folder has only dtypes of `unsupported`; `model-invalid`; `model-unsupported`; `download-failed`
 */
export async function readModelWeights(
  folder: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
  check: (model: ModelProto) => void | Promise<void>,
  modelFile?: string,
): Promise<ModelWeights> {
  const candidates =
    modelFile === undefined
      ? (await rankDtypes(folder, dtypes)).map((dtype) => ({ dtype, graphFile: nameGraphFile(dtype) }))
      : [{ dtype: readDtype(modelFile), graphFile: modelFile }]
  for (const { dtype, graphFile } of candidates) {
    const graph = await folder.readBytes(graphFile)
    if (!graph) continue
    const model = decodeModel(graphFile, graph)
    await check(model)
    return { dtype, graph, model, externalData: await readExternalData(folder, graphFile, model) }
  }
  if (modelFile !== undefined) {
    throw new RivuletError(
      'model-not-found',
      `${folder.url} has no ${modelFile}. Check the path in onnx({ modelFile }).`,
    )
  }
  throw await explainMissing(folder, { dtypes, unsupported })
}

async function rankDtypes(folder: ModelFolder, dtypes: readonly OnnxDtype[]): Promise<readonly OnnxDtype[]> {
  if (dtypes.length < 2) return dtypes
  // A config that cannot be read is reported by those that need it.
  const config = await folder.readJson('config.json').catch(() => undefined)
  const recommended = config && readRecommendedDtype(config)
  if (recommended === undefined || !dtypes.includes(recommended)) return dtypes
  // A device whose best dtype is not in 16-bit floats computes them slowly.
  const isSlow = float16Dtypes.includes(recommended) && !float16Dtypes.includes(dtypes[0]!)
  return isSlow ? dtypes : [recommended, ...dtypes.filter((dtype) => dtype !== recommended)]
}

/** Creates the error for a folder that has none of `dtypes`. The message names the graph files that the folder has. */
async function explainMissing(
  { url, has }: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
): Promise<RivuletError> {
  // If a file cannot be checked, the error is still about the missing files.
  const isPresent = await Promise.all(onnxDtypes.map((dtype) => has(nameGraphFile(dtype)).catch(() => false)))
  const present = onnxDtypes.filter((_, index) => isPresent[index])
  const usable = present.filter((dtype) => !unsupported.includes(dtype))
  const listFiles = (listed: readonly OnnxDtype[]) => listed.map((dtype) => nameGraphFile(dtype)).join(', ')
  if (present.length > 0 && usable.length === 0)
    return new RivuletError(
      'backend-unavailable',
      `${url} has only ${listFiles(present)}. They need 16-bit floats (shader-f16), which this graphics adapter does not support. ` +
        `Use onnx({ device: 'wasm' }), or a model with one of ${listFiles(dtypes)}.`,
    )
  const advice =
    usable.length > 0
      ? `It has ${listFiles(usable)}. Use dtype ${usable.map((dtype) => `'${dtype}'`).join(' or ')}.`
      : 'Try another model.'
  return new RivuletError('model-not-found', `${url} has none of the files ${listFiles(dtypes)}. ${advice}`)
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

async function readExternalData(folder: ModelFolder, graphFile: string, model: ModelProto) {
  const paths = [...new Set(listExternalFiles(graphFile, model))]
  const directory = graphFile.slice(0, graphFile.lastIndexOf('/') + 1)
  return Promise.all(
    paths.map(async (path) => {
      const data = await folder.readBytes(directory + path)
      if (data) return { path, data }
      throw new RivuletError(
        'model-not-found',
        `${folder.url} has no ${directory}${path}, which ${graphFile} needs.`,
      )
    }),
  )
}

/** onnxruntime-web 1.30.0 reads an external file at 32-bit offsets. Larger ones would silently wrap around. */
const maxFileBytes = 2 ** 32

/**
 * Lists the files of a graph's external tensors (ONNX, "External Data"). Only files next to the graph are allowed.
 * @throws RivuletError `model-invalid` if a file is not next to the graph, `model-unsupported` if a file is too large
 */
function listExternalFiles(graphFile: string, { graph }: ModelProto): string[] {
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
