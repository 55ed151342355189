import { fromBinary } from '@bufbuild/protobuf'
import type { OpenModelFolder } from '../store/model-folder.js'
import { createArtificialFiles } from './artificial-weights.js'
import { countTensorBytes } from './check-fit.js'
import type { DeviceSource } from './device-source.js'
import type { CheckedGraph } from './model-weights.js'
import { ModelProtoSchema, TensorProto_DataLocation } from './onnx_pb.js'
import { checkAhead, type DecoderOptions } from './open-decoder.js'
import type { OnnxRuntime } from './session.js'

/** A download of fewer bytes may end before the check does. */
const minDownloadBytes = 2 ** 26

/**
 * Checks the steps of a model on WebGPU while its weights are being downloaded, and compiles its shaders by that. Does nothing if
 * the weights are stored, or small.
 * @returns a promise that resolves when the check has ended, with any result
 */
export async function checkWhileDownloading(
  { graph, externalData, missingFiles }: CheckedGraph,
  folder: OpenModelFolder,
  starting: Promise<OnnxRuntime>,
  devices: DeviceSource,
  options: Pick<DecoderOptions, 'contextLength' | 'cacheSizes'>,
): Promise<void> {
  try {
    // Decoded again, because the check modifies the model.
    const model = fromBinary(ModelProtoSchema, graph)
    const external = (model.graph?.initializer ?? []).filter(
      ({ dataLocation }) => dataLocation === TensorProto_DataLocation.EXTERNAL,
    )
    const externalBytes = external.reduce((sum, tensor) => sum + countTensorBytes(tensor), 0)
    const versions = await Promise.all(missingFiles.map(folder.readVersion))
    if (externalBytes < minDownloadBytes || versions.every((version) => version !== undefined)) return
    const runtime = await starting
    const artificial = model.graph && createArtificialFiles(model.graph)
    if (!artificial) return
    const present = new Set(externalData.map(({ path }) => path))
    const files = [...externalData, ...artificial.filter(({ path }) => !present.has(path))]
    await checkAhead(
      runtime,
      { dtype: undefined, graph, model, externalData: files },
      {
        ...options,
        conversationCacheBytes: 0,
        createDevice: devices.createForCheck,
        onSession: () => {},
      },
    )
  } catch {
    // The model is checked, and the problem reported, when its weights are there.
  }
}
