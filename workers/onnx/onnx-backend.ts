import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { listOptions } from '../../lib/contract/option-table.js'
import { roles } from '../../lib/contract/request.js'
import type { LoadProgress } from '../../lib/contract/worker-api.js'
import type { Backend } from '../backend.js'
import { describeThreads } from '../describe-device.js'
import { openModelFolder } from '../store/model-folder.js'
import type { Decoder } from './decoder.js'
import { checkFit } from './check-fit.js'
import { chooseDevice } from './device.js'
import { generateTokens } from './generate.js'
import { readModelConfig, type ModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import type { ModelProto } from './onnx_pb.js'
import { firstCapacity, openDecoder } from './open-decoder.js'
import { loadOnnxRuntime } from './session.js'

const defaultConversationCacheBytes = 256 * 2 ** 20

/** The progress of a load that downloads nothing. */
const noProgress = { files: [], loadedBytes: 0, totalBytes: 0, bytesPerSecond: undefined }

/** Creates the backend that runs Hugging Face ONNX folders on onnxruntime-web, on WebGPU or WASM. */
export function createOnnxBackend(): Backend<OnnxLoadOptions> {
  let loaded: { readonly decoder: Decoder; readonly config: ModelConfig } | undefined

  async function reportLoss(decoder: Decoder, onLost: (error: RivuletError) => void): Promise<void> {
    const reason = await decoder.lost
    // `unload` also destroys the device. That is not a loss to report.
    if (loaded?.decoder === decoder) onLost(new RivuletError('device-lost', `The GPU was lost: ${reason}`))
  }

  return {
    get stepsInFlight() {
      return loaded?.decoder.execution === 'replayed' ? 1 : 0
    },

    async load({ model, download, options }, { onProgress, onLost, signal }) {
      if (model.kind === 'none')
        throw new RivuletError(
          'invalid-option',
          'onnx() needs a model. Pass "model" to createEngine() or to onnx().',
        )
      const { device, description, memory, ...variants } = await chooseDevice(options)
      let downloaded: LoadProgress | undefined
      const folder = await openModelFolder(model, download, {
        signal,
        onProgress(progress) {
          downloaded = progress
          onProgress(progress)
        },
      })
      const enterPhase = (phase: 'load' | 'warm-up') => {
        onProgress({
          ...noProgress,
          ...downloaded,
          phase,
          file: undefined,
          remainingMs: undefined,
          fraction: 1,
        })
      }
      const configuring = readModelConfig(folder, options)
      const check = async (graph: ModelProto) =>
        checkFit(graph, firstCapacity, memory, (await configuring).cacheSizes)
      const [config, weights, runtime] = await Promise.all([
        configuring,
        readModelWeights(folder, variants, check).catch(async (error: unknown) => {
          // If the folder is empty, the error about config.json explains the problem better.
          await configuring
          throw error
        }),
        loadOnnxRuntime(device, options.wasmPaths),
      ])
        .catch(async (error: unknown) => {
          if (error instanceof RivuletError && error.code === 'model-not-found') await folder.forgetMissing()
          throw error
        })
        .finally(folder.close)
      signal.throwIfAborted()
      enterPhase('load')
      const decoder = await openDecoder(runtime, device, weights, {
        contextLength: config.contextLength,
        cacheSizes: config.cacheSizes,
        conversationCacheBytes: options.conversationCacheBytes ?? defaultConversationCacheBytes,
        onSession: () => enterPhase('warm-up'),
      })
      loaded = { decoder, config }
      void reportLoss(decoder, onLost)
      return {
        model: folder.url,
        backend: 'onnx',
        device,
        deviceDescription:
          device === 'wasm' ? describeThreads(runtime.env.wasm.numThreads ?? 1) : description,
        dtype: weights.dtype,
        execution: decoder.execution,
        contextLength: config.contextLength,
        supports: {
          inputs: config.chatTemplate === undefined ? ['text'] : ['chat', 'text'],
          roles,
          options: listOptions('onnx'),
          continuation: true,
          seededContinuation: true,
          // The decoder has only one KV cache.
          concurrency: 1,
        },
      }
    },

    generate(request, context) {
      if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded. Create a new engine.')
      return generateTokens(loaded.decoder, loaded.config, request, context)
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.decoder.release()
    },
  }
}
