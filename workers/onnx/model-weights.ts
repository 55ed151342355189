import { fromBinary } from '@bufbuild/protobuf'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
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
 * @param check may refuse the graph, by throwing or rejecting, before its external files are read
 * @throws RivuletError `model-not-found` if none exists, `model-invalid`, `download-failed`
 */
export async function readModelWeights(
  folder: ModelFolder,
  dtypes: readonly OnnxDtype[],
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
  const files = dtypes.map((dtype) => graphFiles[dtype]).join(', ')
  throw new RivuletError(
    'model-not-found',
    `${folder.url} has none of the files ${files}. Try another dtype, or another model.`,
  )
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
      `${graphFile} refers to "${path}" for the weight "${tensor.name}". Weights must be in the folder of the graph.`,
    )
  })
}
