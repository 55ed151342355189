import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { LlamaCppLoadOptions } from '../../lib/contract/llama-cpp-options.js'
import type { ModelLocation } from '../../lib/contract/model-source.js'
import { listOptions } from '../../lib/contract/option-table.js'
import { roles } from '../../lib/contract/request.js'
import type { LoadProgress, ModelInfo } from '../../lib/contract/worker-api.js'
import type { Backend } from '../backend.js'
import { createMemoryError, wasmMemoryBytes } from '../memory-exceeded.js'
import { describeThreads } from '../describe-device.js'
import { openModelFolder, type OpenModelFolder } from '../store/model-folder.js'
import { chooseFiles } from './choose-files.js'
import { createConversationMemory } from './conversation-memory.js'
import { chooseDevice, type ChosenDevice } from './device.js'
import { generateTokens, type LoadedModel } from './generate.js'
import { readGgufHeader, type GgufHeader } from './gguf-header.js'
import { createPromptRenderer } from './render-prompt.js'
import { openLlamaCpp } from './runtime.js'

/** Longer ones are for those who ask for them: they take memory whether they are used or not. */
const maxDefaultContext = 4096
const defaultConversationCacheBytes = 256 * 2 ** 20
/** llama.cpp makes its contexts a multiple of so many tokens, and does not say so. */
const contextStep = 256
/**
 * A prompt is computed in chunks of so many tokens: in between, who leaves is noticed. On a CPU larger ones are hardly
 * faster (SmolLM2-135M, 2 threads: 31 tokens a second in chunks of 16, 36 from 64 on).
 */
const prefillChunkTokens = { cpu: 32, gpu: 256 }

/** GGUF files on llama.cpp, on WASM or WebGPU. */
export function createLlamaCppBackend(): Backend<LlamaCppLoadOptions> {
  let loaded: LoadedModel | undefined
  let open: () => Promise<LoadedModel>

  /** The loaded model, opened anew where it keeps too much of earlier conversations. */
  async function takeModel(): Promise<LoadedModel> {
    if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded. Create a new engine.')
    if (!loaded.memory.isFull) return loaded
    await loaded.runtime.exit()
    try {
      return (loaded = await open())
    } catch (error) {
      throw new RivuletError('worker-failed', `The model could not be opened anew: ${describeError(error)}`, {
        cause: error,
      })
    }
  }

  return {
    stepsInFlight: 1,

    async load({ model: location, download, options }, { onProgress, signal }) {
      if (location.kind === 'none') throw new RivuletError('invalid-option', 'llamaCpp() needs a "model".')
      const device = await chooseDevice(options)
      let downloaded: LoadProgress | undefined
      const folder = await openModelFolder(location, download, {
        signal,
        onProgress: (progress) => onProgress((downloaded = progress)),
      })
      try {
        const { paths, files, header } = await readFiles(folder, location)
        signal.throwIfAborted()
        const contextLength = chooseContext(header, options)
        checkFit(files, header, contextLength, options.memoryBudgetBytes ?? Infinity)
        onProgress({ ...nothingFetched, ...downloaded, ...loadPhase })
        const parameters = chooseParameters(device, contextLength)
        const wasmUrl = findWasm(options.wasmUrl)
        const conversationBytes = options.conversationCacheBytes ?? defaultConversationCacheBytes
        open = async () => ({
          runtime: await openLlamaCpp(files, wasmUrl, parameters),
          renderPrompt: createPromptRenderer(header),
          memory: createConversationMemory(header.cacheBytesPerToken, conversationBytes),
        })
        const model = await open()
        await refuseCpu(model, options)
        loaded = model
        // The visitor's files have names alone.
        const address = location.kind === 'local' ? paths[0]! : folder.url + paths[0]!
        return describeModel(address, model, device, header)
      } finally {
        // What is being read must not be removed meanwhile.
        folder.close()
      }
    },

    async *generate(request, context) {
      return yield* generateTokens(await takeModel(), request, context)
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.runtime.exit()
    },
  }
}

/** Where nothing had to be fetched. */
const nothingFetched = { files: [], loadedBytes: 0, totalBytes: 0, bytesPerSecond: undefined }
const loadPhase = { phase: 'load', file: undefined, remainingMs: undefined, fraction: 1 } as const

async function readFiles(folder: OpenModelFolder, location: ModelLocation) {
  const named = 'file' in location ? location.file : undefined
  const paths = await chooseFiles(folder, named)
  const files: Blob[] = []
  for (const path of paths) {
    const file = await folder.readBlob(path)
    if (!file) {
      await folder.forgetMissing()
      throw new RivuletError('model-not-found', `${folder.url} has no ${path}.`)
    }
    files.push(file)
  }
  return { paths, files, header: await readGgufHeader(files[0]!) }
}

function chooseContext(header: GgufHeader, { contextLength }: LlamaCppLoadOptions): number {
  const askedFor = contextLength ?? Math.min(header.contextLength ?? maxDefaultContext, maxDefaultContext)
  return Math.ceil(askedFor / contextStep) * contextStep
}

/** By wllama's names. */
function chooseParameters({ useGpu, threads }: ChosenDevice, contextLength: number) {
  const chunkTokens = useGpu ? prefillChunkTokens.gpu : prefillChunkTokens.cpu
  return {
    n_ctx: contextLength,
    n_threads: threads,
    n_gpu_layers: useGpu ? undefined : 0,
    n_batch: chunkTokens,
    n_ubatch: chunkTokens,
    n_parallel: 1,
  }
}

/** @throws RivuletError `backend-unavailable` where a GPU was asked for and is not used */
async function refuseCpu({ runtime }: LoadedModel, { device }: LlamaCppLoadOptions): Promise<void> {
  if (device !== 'webgpu' || runtime.usesGpu) return
  await runtime.exit()
  throw new RivuletError(
    'backend-unavailable',
    "llama.cpp put the model on the CPU. Use device: 'auto' to accept that.",
  )
}

function describeModel(
  model: string,
  { runtime }: LoadedModel,
  device: ChosenDevice,
  header: GgufHeader,
): ModelInfo {
  const { usesGpu, isMultithreaded, threads } = runtime
  return {
    model,
    backend: 'llama-cpp',
    device: usesGpu ? 'webgpu' : 'wasm',
    deviceDescription: usesGpu ? device.description : describeThreads(isMultithreaded ? threads : 1),
    dtype: runtime.fileType,
    execution: isMultithreaded ? 'multi-threaded' : 'single-threaded',
    contextLength: runtime.contextLength,
    supports: {
      inputs: header.chatTemplate === undefined ? ['text'] : ['chat', 'text'],
      roles,
      options: listOptions('llama-cpp'),
      continuation: true,
      seededContinuation: false,
      // It has slots, but each step computes all of them: one slow reader could not hold back only its own tokens.
      concurrency: 1,
    },
  }
}

/** @throws RivuletError `memory-exceeded` */
function checkFit(
  files: readonly Blob[],
  { cacheBytesPerToken }: GgufHeader,
  contextLength: number,
  budgetBytes: number,
): void {
  const neededBytes = files.reduce((sum, { size }) => sum + size, 0) + contextLength * cacheBytesPerToken
  const isWasm = wasmMemoryBytes < budgetBytes
  const availableBytes = isWasm ? wasmMemoryBytes : budgetBytes
  if (neededBytes <= availableBytes) return
  const limitedBy = isWasm ? 'the memory of WebAssembly' : 'the given memoryBudgetBytes'
  throw createMemoryError(
    `The model, with a KV cache of ${contextLength} tokens,`,
    neededBytes,
    availableBytes,
    limitedBy,
  )
}

function findWasm(url: string | undefined): string {
  return url ?? new URL('@wllama/wllama/esm/wasm/wllama.wasm', import.meta.url).href
}
