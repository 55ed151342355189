import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxOptions } from '../../lib/contract/onnx-options.js'
import type { Backend } from '../backend.js'
import { openModelFolder } from '../store/model-folder.js'
import { createDecoder, type Decoder } from './decoder.js'
import { chooseDevice } from './device.js'
import { generateTokens } from './generate.js'
import { readModelConfig, type ModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { createSession, loadOnnxRuntime } from './session.js'

/** Hugging Face ONNX folders on onnxruntime-web, on WebGPU or WASM. */
export function createOnnxBackend(): Backend<OnnxOptions> {
  let loaded: { readonly decoder: Decoder; readonly config: ModelConfig } | undefined

  return {
    // One KV cache.
    maxConcurrentGenerations: 1,

    async load({ modelFolder, options }, { onProgress, signal }) {
      const { device, description, dtypes } = await chooseDevice(options)
      let downloaded = { loadedBytes: 0, totalBytes: 0 }
      const folder = openModelFolder(modelFolder, {
        signal,
        onProgress(progress) {
          downloaded = progress
          onProgress(progress)
        },
      })
      const [config, weights, runtime] = await Promise.all([
        readModelConfig(folder),
        readModelWeights(folder, dtypes),
        loadOnnxRuntime(device),
      ])
      signal.throwIfAborted()
      onProgress({ ...downloaded, phase: 'load', file: undefined })
      const decoder = createDecoder(runtime, await createSession(runtime, device, weights))
      onProgress({ ...downloaded, phase: 'warm-up', file: undefined })
      await warmUp(decoder, config)
      loaded = { decoder, config }
      return {
        model: modelFolder,
        backend: 'onnx',
        device,
        deviceDescription: device === 'wasm' ? describeThreads(runtime.env.wasm.numThreads) : description,
        dtype: weights.dtype,
        contextLength: config.contextLength,
        hasChatTemplate: config.tokenizer.chatTemplate !== undefined,
      }
    },

    generate(request, { signal }) {
      if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded.')
      return generateTokens(loaded.decoder, loaded.config, request, signal)
    },

    async unload() {
      await loaded?.decoder.release()
      loaded = undefined
    },
  }
}

/** Long enough for the kernels that a prompt runs: those for two tokens are others (seen on WebGPU). */
const warmUpTokens = 32

/** The first prefill and the first decode step compile their shaders: seconds that the first reader need not wait. */
async function warmUp(decoder: Decoder, { endIds }: ModelConfig): Promise<void> {
  const [anyId = 0] = endIds
  await decoder.forward(Array.from({ length: warmUpTokens }, () => anyId))
  await decoder.forward([anyId])
  decoder.reset()
}

function describeThreads(threads: number | undefined): string {
  return threads === undefined || threads === 1 ? 'CPU, 1 thread' : `CPU, ${threads} threads`
}
