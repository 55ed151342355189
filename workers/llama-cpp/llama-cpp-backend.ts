import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { LlamaCppLoadOptions } from '../../lib/contract/llama-cpp-options.js'
import { nameLocation, type ModelLocation } from '../../lib/contract/model-location.js'
import { listOptions } from '../../lib/contract/option-table.js'
import type { WorkerModelInfo } from '../../lib/contract/worker-api.js'
import type { Backend } from '../backend.js'
import { describeThreads } from '../describe-device.js'
import { rememberTimes } from '../phase-times.js'
import { openModelFolder, type OpenModelFolder } from '../store/model-folder.js'
import { plainFamily, type AnswerFamily } from '../text/channels/answer-family.js'
import { describeChannels } from '../text/channels/describe-channels.js'
import { findFamily } from '../text/channels/find-family.js'
import { readTemplateShape } from '../text/channels/template-shape.js'
import type { ChatTemplate } from '../text/chat-template.js'
import { findChatTemplate } from '../text/find-chat-template.js'
import { trackLoad } from '../track-load.js'
import { checkFit } from './check-fit.js'
import { chooseFiles } from './choose-files.js'
import { readControlTokens } from './control-tokens.js'
import { createConversationMemory } from './conversation-memory.js'
import { chooseDevice, type ChosenDevice } from './device.js'
import { fetchWasm, wllamaFiles } from './fetch-wasm.js'
import { countPromptTokens, generateTokens } from './generate.js'
import type { LoadedModel } from './prepare-answer.js'
import { createFormCompiler } from '../text/gbnf/compile-form.js'
import { readGgufHeader, type GgufHeader } from './gguf-header.js'
import { createPromptWriter } from './write-prompt.js'
import { openLlamaCpp, type LlamaCppFiles } from './runtime.js'

/** The longest default context, in tokens. A longer one must be requested: it takes memory even when it is not used. */
const maxDefaultContext = 4096
const defaultConversationCacheBytes = 256 * 2 ** 20
/** llama.cpp silently rounds the context length up to a multiple of this many tokens. */
const contextStep = 256
/**
 * A prompt is computed in chunks of this many tokens; a cancel takes effect between two chunks. On a CPU, larger chunks are
 * hardly faster (SmolLM2-135M, 2 threads: 31 tokens per second in chunks of 16, 36 in chunks of 64 or more).
 */
const prefillChunkTokens = { cpu: 32, gpu: 256 }

/** What a first load takes after its download. llama.cpp reports no warm-up. */
const usualTimes = {
  cpu: { loadMs: 700, msPerMegabyte: 3, warmUpMs: 0 },
  gpu: { loadMs: 2000, msPerMegabyte: 5, warmUpMs: 0 },
}

/** Creates the backend that runs GGUF files on llama.cpp, on WASM or WebGPU. */
export function createLlamaCppBackend(): Backend<LlamaCppLoadOptions> {
  let loaded: LoadedModel | undefined
  let open: () => Promise<LoadedModel>
  /** How many generations and counts use the model. */
  let users = 0
  let reopening: Promise<LoadedModel> | undefined

  /**
   * Returns the loaded model. Loads it again first if llama.cpp keeps too much memory for earlier conversations, and nothing
   * else uses it.
   */
  async function takeModel(): Promise<LoadedModel> {
    if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded. Create a new engine.')
    if (reopening) return reopening
    if (!loaded.memory.isFull || users > 1) return loaded
    reopening = reopen(loaded)
    try {
      return (loaded = await reopening)
    } finally {
      reopening = undefined
    }
  }

  async function reopen({ runtime }: LoadedModel): Promise<LoadedModel> {
    await runtime.exit()
    try {
      return await open()
    } catch (error) {
      throw new RivuletError(
        'worker-failed',
        `The model could not be loaded again: ${describeError(error)}`,
        {
          cause: error,
        },
      )
    }
  }

  return {
    stepsInFlight: 1,

    async load({ model: location, download, options }, { onProgress, signal }) {
      if (location.kind === 'none')
        throw new RivuletError(
          'invalid-option',
          'llamaCpp() needs a "model". Set it in createEngine() or llamaCpp().',
        )
      const device = await chooseDevice(options)
      const [deviceKind, modelUrl] = [device.useGpu ? 'gpu' : 'cpu', nameLocation(location)] as const
      const times = await rememberTimes(['llama-cpp', modelUrl, deviceKind], usualTimes[deviceKind])
      const tracker = trackLoad(onProgress, wllamaFiles[device.build].path, times.expect)
      const build = findBuild(device, options)
      const fetchingWasm = fetchWasm(build.wasm, wllamaFiles[device.build], {
        progress: tracker.files,
        idleTimeoutMs: download.idleTimeoutMs,
        signal,
      })
      // Without this, an error would count as unhandled while the model is still downloaded.
      fetchingWasm.catch(() => {})
      const folder = await openModelFolder(location, download, { signal, onProgress: tracker.files })
      try {
        const { paths, files, header } = await readFiles(folder, location)
        const { chatTemplates, beginToken, endToken } = header
        const tokens = { bos_token: beginToken, eos_token: endToken }
        const chatTemplate = findChatTemplate(chatTemplates, options.chatTemplate, tokens)
        signal.throwIfAborted()
        const contextLength = chooseContext(header, options)
        const { maxConcurrentGenerations: slots = 1 } = options
        checkFit(files, header, {
          contextLength: contextLength * slots,
          usesGpu: device.useGpu,
          budgetBytes: options.memoryBudgetBytes,
        })
        const parameters = chooseParameters(device, contextLength, slots)
        const runtimeFiles = { ...build, wasm: await fetchingWasm }
        tracker.enterPhase('load')
        const controlTokens = readControlTokens(header, chatTemplate, options.endTokens ?? [])
        const family = chatTemplate ? readFamily(chatTemplate, header) : plainFamily
        const conversationBytes = options.conversationCacheBytes ?? defaultConversationCacheBytes
        open = async () => ({
          runtime: await openLlamaCpp(files, runtimeFiles, parameters, slots),
          chatTemplate,
          family,
          writePrompt: createPromptWriter(header, controlTokens.all),
          controlTokens,
          countedToken: chooseCountedToken(header),
          memory: createConversationMemory(header.cacheSize, conversationBytes),
          compileForm: createFormCompiler(),
        })
        const model = await open()
        await refuseCpu(model, options)
        times.remember(tracker.finish())
        loaded = model
        // A local file has only a name, no URL.
        const address = location.kind === 'local' ? paths[0]! : folder.url + paths[0]!
        return describeModel(address, model, device, slots)
      } finally {
        tracker.stop()
        // The folder stays open until its files are read, so that they cannot be removed.
        folder.close()
      }
    },

    async *generate(request, context) {
      users += 1
      try {
        return yield* generateTokens(await takeModel(), request, context)
      } finally {
        users -= 1
      }
    },

    tokenCounter: {
      // A count needs a slot of llama.cpp.
      needsTurn: true,
      async count(request, signal) {
        users += 1
        try {
          return await countPromptTokens(await takeModel(), request, signal)
        } finally {
          users -= 1
        }
      },
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.runtime.exit()
    },
  }
}

function readFamily(chatTemplate: ChatTemplate, { controlTokens, userTokens }: GgufHeader): AnswerFamily {
  const known = new Set([...controlTokens, ...userTokens])
  return findFamily({
    template: chatTemplate.source,
    hasToken: (text) => known.has(text),
    hasTools: readTemplateShape(chatTemplate).hasTools,
  })
}

function chooseCountedToken({ controlTokens, endToken }: GgufHeader): string | undefined {
  return controlTokens.find((token) => token === endToken) ?? controlTokens[0]
}

async function readFiles(folder: OpenModelFolder, location: ModelLocation) {
  const named = 'file' in location ? location.file : undefined
  const paths = await chooseFiles(folder, named, location.kind === 'local')
  const files: Blob[] = []
  for (const path of paths) {
    const file = await folder.readBlob(path)
    if (!file) {
      throw await folder.explainMissing(
        new RivuletError(
          'model-not-found',
          `${folder.url} has no ${path}. llamaCpp() needs the URL of a GGUF file.`,
        ),
      )
    }
    files.push(file)
  }
  return { paths, files, header: await readGgufHeader(files[0]!) }
}

function chooseContext(header: GgufHeader, { contextLength }: LlamaCppLoadOptions): number {
  const requestedLength =
    contextLength ?? Math.min(header.contextLength ?? maxDefaultContext, maxDefaultContext)
  return Math.ceil(requestedLength / contextStep) * contextStep
}

/** Returns the parameters under the names of wllama's options. */
function chooseParameters({ useGpu, threads }: ChosenDevice, contextLength: number, slots: number) {
  const chunkTokens = useGpu ? prefillChunkTokens.gpu : prefillChunkTokens.cpu
  return {
    n_ctx: contextLength * slots,
    n_threads: threads,
    n_gpu_layers: useGpu ? undefined : 0,
    n_batch: chunkTokens,
    n_ubatch: chunkTokens,
    n_parallel: slots,
    // With several slots, each has a context of its own, so that every generation has room for `contextLength` tokens.
    kv_unified: slots === 1,
  }
}

/** Unloads the model if WebGPU was requested and is not used. @throws RivuletError `backend-unavailable` in this case */
async function refuseCpu({ runtime }: LoadedModel, { device }: LlamaCppLoadOptions): Promise<void> {
  if (device !== 'webgpu' || runtime.usesGpu) return
  await runtime.exit()
  throw new RivuletError(
    'backend-unavailable',
    "llama.cpp placed the model on the CPU. Use device: 'auto' to allow that.",
  )
}

function describeModel(
  model: string,
  { runtime, chatTemplate, family, countedToken }: LoadedModel,
  device: ChosenDevice,
  concurrency: number,
): WorkerModelInfo {
  const { usesGpu, isMultithreaded, threads } = runtime
  return {
    model,
    backend: 'llama-cpp',
    device: usesGpu ? 'webgpu' : 'wasm',
    deviceDescription: usesGpu ? device.description : describeThreads(isMultithreaded ? threads : 1),
    dtype: runtime.fileType,
    execution: isMultithreaded ? 'multi-threaded' : 'single-threaded',
    warnings: device.build === 'compat' ? [compatWarning] : [],
    contextLength: runtime.contextLength,
    supports: {
      inputs: chatTemplate ? ['chat', 'text'] : ['text'],
      formats: ['json', 'json-schema', 'regex', 'grammar'],
      ...describeChannels(chatTemplate, family, listOptions('llama-cpp')),
      continuation: true,
      seededContinuation: false,
      concurrency,
      tokenCounting: countedToken !== undefined,
      prefill: true,
      // wllama 3.13.0 has no call that saves or restores the state of a slot.
      keptPrefixes: false,
    },
  }
}

const compatWarning =
  'This browser has no WebAssembly memories with 64-bit addresses (memory64), so llama.cpp runs as its compatibility build, which is slower. If it is too slow, try onnx().'

function findBuild({ build }: ChosenDevice, { wasmUrl, compat }: LlamaCppLoadOptions): LlamaCppFiles {
  if (build === 'compat') return compat!
  return { wasm: wasmUrl ?? new URL('@wllama/wllama/esm/wasm/wllama.wasm', import.meta.url).href }
}
