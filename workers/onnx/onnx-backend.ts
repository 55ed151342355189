import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import type { Backend } from '../backend.js'
import { openModelFolder } from '../store/model-folder.js'
import type { Decoder } from './decoder.js'
import { chooseDevice } from './device.js'
import { generateTokens } from './generate.js'
import { readModelConfig, type ModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { openDecoder } from './open-decoder.js'
import { loadOnnxRuntime } from './session.js'

const defaultConversationCacheBytes = 256 * 2 ** 20

/** Hugging Face ONNX folders on onnxruntime-web, on WebGPU or WASM. */
export function createOnnxBackend(): Backend<OnnxLoadOptions> {
  let loaded: { readonly decoder: Decoder; readonly config: ModelConfig } | undefined

  async function reportLoss(decoder: Decoder, onLost: (error: RivuletError) => void): Promise<void> {
    const reason = await decoder.lost
    // Not where it was unloaded.
    if (loaded?.decoder === decoder) onLost(new RivuletError('device-lost', `The GPU was lost: ${reason}`))
  }

  return {
    // One KV cache.
    maxConcurrentGenerations: 1,

    get stepsInFlight() {
      return loaded?.decoder.execution === 'replayed' ? 1 : 0
    },

    async load({ modelFolder, options }, { onProgress, onLost, signal }) {
      const { device, description, dtypes } = await chooseDevice(options)
      let downloaded = { loadedBytes: 0, totalBytes: 0 }
      const folder = openModelFolder(modelFolder, {
        signal,
        onProgress(progress) {
          downloaded = progress
          onProgress(progress)
        },
      })
      const configuring = readModelConfig(folder)
      const [config, weights, runtime] = await Promise.all([
        configuring,
        readModelWeights(folder, dtypes).catch(async (error: unknown) => {
          // A folder that lacks everything is no model: that is for its configuration to say.
          await configuring
          throw error
        }),
        loadOnnxRuntime(device),
      ])
      signal.throwIfAborted()
      onProgress({ ...downloaded, phase: 'load', file: undefined })
      const decoder = await openDecoder(runtime, device, weights, {
        contextLength: config.contextLength,
        conversationCacheBytes: options.conversationCacheBytes ?? defaultConversationCacheBytes,
      })
      loaded = { decoder, config }
      void reportLoss(decoder, onLost)
      return {
        model: modelFolder,
        backend: 'onnx',
        device,
        deviceDescription: device === 'wasm' ? describeThreads(runtime.env.wasm.numThreads) : description,
        dtype: weights.dtype,
        execution: decoder.execution,
        contextLength: config.contextLength,
        hasChatTemplate: config.tokenizer.chatTemplate !== undefined,
      }
    },

    generate(request, { signal }) {
      if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded.')
      return generateTokens(loaded.decoder, loaded.config, request, signal)
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.decoder.release()
    },
  }
}

function describeThreads(threads: number | undefined): string {
  return threads === undefined || threads === 1 ? 'CPU, 1 thread' : `CPU, ${threads} threads`
}
