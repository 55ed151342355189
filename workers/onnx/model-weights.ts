import { fromBinary } from '@bufbuild/protobuf'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { DeviceDtypes } from '../../lib/contract/choose-device.js'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { ModelProtoSchema, TensorProto_DataLocation, type ModelProto } from './onnx_pb.js'

/** A model's graph and the files with its weights. */
export interface ModelWeights {
  readonly dtype: OnnxDtype
  /** The content of the `.onnx` file. */
  readonly graph: Uint8Array<ArrayBuffer>
  /** The decoded `graph`. Its weights are views of `graph`. */
  readonly model: ModelProto
  /** External data files, with the paths that the graph uses for them. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array<ArrayBuffer> }[]
}

/** The file names of transformers.js and onnx-community. */
const graphFiles = {
  q4f16: 'onnx/model_q4f16.onnx',
  q4: 'onnx/model_q4.onnx',
  fp16: 'onnx/model_fp16.onnx',
  q8: 'onnx/model_quantized.onnx',
  fp32: 'onnx/model.onnx',
} satisfies Record<OnnxDtype, string>

/**
 * Reads the first variant of `dtypes` that exists in the folder.
 * @param unsupported variants that the device cannot compute, for the error
 * @param check may refuse the graph, by throwing or rejecting, before its external files are read
 * @throws RivuletError `model-not-found` if none exists, `backend-unavailable` if only variants of `unsupported` exist,
 *   `model-invalid`, `download-failed`
 */
export async function readModelWeights(
  folder: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
  check: (model: ModelProto) => void | Promise<void>,
): Promise<ModelWeights> {
  for (const dtype of dtypes) {
    const graphFile = graphFiles[dtype]
    const graph = await folder.readBytes(graphFile)
    if (!graph) continue
    const model = decodeModel(graphFile, graph)
    await check(model)
    return { dtype, graph, model, externalData: await readExternalData(folder, graphFile, model) }
  }
  throw await explainMissing(folder, { dtypes, unsupported })
}

/** The error if a folder has none of the wanted variants: it names those that the folder has. */
async function explainMissing(
  { url, has }: ModelFolder,
  { dtypes, unsupported }: DeviceDtypes,
): Promise<RivuletError> {
  // If the server cannot be asked, the missing files are still the error.
  const isPresent = await Promise.all(onnxDtypes.map((dtype) => has(graphFiles[dtype]).catch(() => false)))
  const present = onnxDtypes.filter((_, index) => isPresent[index])
  const usable = present.filter((dtype) => !unsupported.includes(dtype))
  const listFiles = (listed: readonly OnnxDtype[]) => listed.map((dtype) => graphFiles[dtype]).join(', ')
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
  return Promise.all(
    paths.map(async (path) => {
      const data = await folder.readBytes(`onnx/${path}`)
      if (data) return { path, data }
      throw new RivuletError(
        'model-not-found',
        `${folder.url} has no onnx/${path}, which ${graphFile} needs.`,
      )
    }),
  )
}

/** The files of a graph's external tensors (ONNX, "External Data"). Only files next to the graph are allowed. */
function listExternalFiles(graphFile: string, { graph }: ModelProto): string[] {
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
