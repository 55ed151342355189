import { RivuletError } from '../../lib/contract/errors.js'
import { nameLocation, nameModelUrl } from '../../lib/contract/model-location.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { listOptions, type OptionName } from '../../lib/contract/option-table.js'
import type { ModelSupport } from '../../lib/contract/worker-api.js'
import type { Backend } from '../backend.js'
import { describeThreads } from '../describe-device.js'
import { rememberTimes, type UsualTimes } from '../phase-times.js'
import { openModelFolder, type ModelFolder, type OpenModelFolder } from '../store/model-folder.js'
import { describeChannels } from '../text/channels/describe-channels.js'
import { createFormCompiler, type FormCompiler } from '../text/grammar/form-compiler.js'
import type { LoadGrammarEngine } from '../text/grammar/grammar-engine.js'
import { trackLoad } from '../track-load.js'
import type { Decoder } from './decoder.js'
import { createDecoderPool, type DecoderPool } from './decoder-pool.js'
import { checkFit } from './check-fit.js'
import { openDeviceSource, type DeviceSource } from './device-source.js'
import { chooseDevice, type ChosenDevice, type UsedDevice } from './device.js'
import { countPrompt, encodeRequest } from './encode-request.js'
import { generateTokens } from './generate.js'
import { openKeptPrefixes, type KeptPrefixes } from './kept-prefixes.js'
import { startReadingConfig, type ModelConfig } from './model-config.js'
import { readModelWeights, type ModelWeights, type ReadWeights } from './model-weights.js'
import type { ModelProto } from './onnx_pb.js'
import { refuseGguf } from './refuse-gguf.js'
import { firstCapacity, openDecoder } from './open-decoder.js'
import { describeRuntimeFile } from './runtime-files.js'
import { chooseBuild, type OnnxRuntime } from './session.js'
import { startOnnxRuntime } from './start-runtime.js'
import { hasSoftCap, refuseSoftCap } from './soft-cap.js'

const defaultConversationCacheBytes = 256 * 2 ** 20
const defaultKeptPrefixBytes = 512 * 2 ** 20

/** What a first load takes after its download: on WASM with two threads, and on WebGPU with its shaders and its check. */
const usualTimes = {
  wasm: { loadMs: 400, msPerMegabyte: 10, warmUpMs: 150 },
  webgpu: { loadMs: 1500, msPerMegabyte: 5, warmUpMs: 3000 },
} as const satisfies Record<UsedDevice['device'], UsualTimes>

/** Creates the backend that runs Hugging Face ONNX folders on onnxruntime-web, on WebGPU or WASM. */
/** @param loadGrammarEngine loads the engine for `responseFormat`; undefined if the worker has none */
export function createOnnxBackend(loadGrammarEngine?: LoadGrammarEngine): Backend<OnnxLoadOptions> {
  let loaded: Loaded | undefined

  async function reportLoss(decoder: Decoder, onLost: (error: RivuletError) => void): Promise<void> {
    const reason = await decoder.lost
    // `unload` also destroys the device. That is not a loss to report.
    if (loaded?.decoder === decoder) onLost(new RivuletError('device-lost', `The GPU was lost: ${reason}`))
  }

  return {
    get stepsInFlight() {
      return loaded?.decoder.execution === 'replayed' ? 1 : 0
    },

    async load({ model, download, options, losses }, { onProgress, onLost, signal }) {
      if (model.kind === 'none')
        throw new RivuletError(
          'invalid-option',
          'onnx() needs a model. Pass "model" to createEngine() or to onnx().',
        )
      await refuseGguf(model)
      const { maxConcurrentGenerations: concurrency = 1 } = options
      const chosen = await chooseDevice(options)
      const times = await rememberTimes(
        ['onnx', nameLocation(model), chosen.device],
        usualTimes[chosen.device],
      )
      const { path } = describeRuntimeFile(chooseBuild(chosen.device, options.wasmPaths))
      const tracker = trackLoad(onProgress, path, times.expect)
      // If the load fails, the page ends this worker, and with it the device.
      const devices =
        chosen.device === 'webgpu'
          ? openDeviceSource([
              'onnx',
              nameLocation(model),
              options.dtype,
              options.modelFile,
              path,
              chosen.description,
            ])
          : undefined
      const startRuntime = startOnce((device) =>
        startOnnxRuntime(device, options.wasmPaths, {
          progress: tracker.files,
          idleTimeoutMs: download.idleTimeoutMs,
          signal,
        }),
      )
      // The files decide between the devices if the chosen device cannot compute all variants. The graph decides too, but
      // hardly any is refused.
      const isOpen = chosen.fallback !== undefined && chosen.unsupported.length > 0
      const starting = isOpen ? undefined : startRuntime(chosen.device)
      const folder = await openModelFolder(model, download, { signal, onProgress: tracker.files })
      try {
        const reading = startReadingConfig(folder, options)
        const checkGraph = async (graph: ModelProto, { device, memory }: UsedDevice) => {
          refuseSoftCap(graph, device)
          void startRuntime(device)
          checkFit(graph, firstCapacity * concurrency, memory, await reading.cacheSizes, concurrency)
        }
        const [config, { weights, used, versions }] = await Promise.all([
          reading.config,
          readWeights(folder, chosen, options.modelFile, checkGraph)
            .then(async (read) => ({ ...read, versions: await readVersions(folder, read.weights) }))
            .catch(async (error: unknown) => {
              // If the folder is empty, the error about config.json explains the problem better.
              await reading.config
              throw error
            }),
          starting,
        ]).catch(async (error: unknown) => {
          const isMissing = error instanceof RivuletError && error.code === 'model-not-found'
          throw isMissing ? await folder.explainMissing(error) : error
        })
        const { device, description } = used
        const runtime = await startRuntime(device)
        signal.throwIfAborted()
        tracker.enterPhase('load')
        const warnings = device === chosen.device ? [] : [describeFallback(chosen, weights)]
        const decoder = await openDecoder(runtime, device, weights, {
          contextLength: config.contextLength,
          cacheSizes: config.cacheSizes,
          losses,
          conversationCacheBytes: options.conversationCacheBytes ?? defaultConversationCacheBytes,
          maxConcurrentGenerations: concurrency,
          onSession: () => tracker.enterPhase('warm-up'),
          onSlower: (reason) => warnings.push(reason),
          createDevice: devices?.create,
        }).finally(tracker.stop)
        await devices?.close()
        if (decoder.prefillRules.wholePrompt) warnings.push(wholePromptWarning)
        times.remember(tracker.finish())
        const { tokenizer, endIds } = config
        const compiler = loadGrammarEngine && createFormCompiler(loadGrammarEngine, tokenizer, endIds)
        const kept = decoder.prefillRules.wholePrompt
          ? undefined
          : openKeptPrefixes({
              folderUrl: folder.url,
              modelUrl: model.kind === 'local' ? folder.url : nameModelUrl(model),
              files: versions,
              conditions: [device, description, runtime.env.versions, config.contextLength],
              budgetBytes: options.keptPrefixBytes ?? defaultKeptPrefixBytes,
            })
        loaded = { decoder, decoders: createDecoderPool(decoder), config, compiler, kept, devices }
        void reportLoss(decoder, onLost)
        return {
          model: folder.url,
          backend: 'onnx',
          device,
          deviceDescription:
            device === 'wasm' ? describeThreads(runtime.env.wasm.numThreads ?? 1) : description,
          dtype: weights.dtype,
          execution: decoder.execution,
          warnings,
          contextLength: config.contextLength,
          supports: {
            inputs: config.chatTemplate === undefined ? ['text'] : ['chat', 'text'],
            ...describeSupport(compiler, config),
            continuation: true,
            seededContinuation: true,
            concurrency,
            tokenCounting: true,
            prefill: true,
            // Without prefix reuse, kept prefixes are useless.
            keptPrefixes: !decoder.prefillRules.wholePrompt,
          },
        }
      } finally {
        folder.close()
      }
    },

    generate(request, context) {
      if (!loaded) throw disposedError()
      const { decoders, config, compiler, kept } = loaded
      return generateTokens(decoders, config, request, context, compiler, kept)
    },

    tokenCounter: {
      needsTurn: false,
      async count(request, signal) {
        if (!loaded) throw disposedError()
        return countPrompt(await encodeRequest(loaded.config, request, signal))
      },
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.devices?.save()
      await released?.decoder.release()
    },
  }
}

function disposedError(): RivuletError {
  return new RivuletError('engine-disposed', 'No model is loaded. Create a new engine.')
}

const wholePromptWarning =
  "Every prompt is computed from its start, in one run, because reused results would change the answer. Dynamically quantized activations (Optimum's q8) have one scale for each run. Try another dtype."

/** What `load` leaves for `generate`. */
interface Loaded {
  readonly decoder: Decoder
  readonly decoders: DecoderPool
  readonly config: ModelConfig
  readonly compiler: FormCompiler | undefined
  readonly kept: KeptPrefixes | undefined
  readonly devices: DeviceSource | undefined
}

/** What needs a grammar engine: the form of an answer, and tools, whose arguments are always valid. */
const formOptions: readonly OptionName[] = ['responseFormat', 'tools', 'toolChoice', 'parallelToolCalls']

/** Returns what the model supports by its chat template, and by the grammar engine. */
function describeSupport(
  compiler: FormCompiler | undefined,
  { chatTemplate, family }: ModelConfig,
): Pick<ModelSupport, 'roles' | 'options' | 'hints' | 'formats' | 'reasoning' | 'continuedChannels'> {
  const channels = describeChannels(chatTemplate, family, listOptions('onnx'))
  if (compiler) return { ...channels, formats: ['json', 'json-schema', 'regex', 'grammar'] }
  const hint =
    'Install @mlc-ai/web-xgrammar and pass onnx({ grammar: xgrammar() }), with xgrammar from "rivulet/xgrammar".'
  const missing = formOptions.filter((name) => channels.options.includes(name))
  return {
    ...channels,
    options: channels.options.filter((name) => !missing.includes(name)),
    formats: [],
    hints: { ...channels.hints, ...Object.fromEntries(missing.map((name) => [name, hint])) },
  }
}

/** Returns a function that calls `start` once for each device. A failure that nobody waits for is not reported. */
function startOnce(
  start: (device: UsedDevice['device']) => Promise<OnnxRuntime>,
): (device: UsedDevice['device']) => Promise<OnnxRuntime> {
  const started = new Map<UsedDevice['device'], Promise<OnnxRuntime>>()
  return (device) => {
    const starting = started.get(device) ?? start(device)
    started.set(device, starting)
    starting.catch(() => {})
    return starting
  }
}

/**
 * Reads the weights for the chosen device; or for its fallback, if the folder has only files that the chosen device cannot
 * compute.
 * @param modelFile as in `readModelWeights`
 * @param check as in `readModelWeights`, for the device that is used
 */
async function readWeights(
  folder: ModelFolder,
  { fallback, ...chosen }: ChosenDevice,
  modelFile: string | undefined,
  check: (graph: ModelProto, used: UsedDevice) => Promise<void>,
): Promise<{ readonly weights: ReadWeights; readonly used: UsedDevice }> {
  const read = async (used: UsedDevice) => ({
    weights: await readModelWeights(folder, used, (graph) => check(graph, used), modelFile),
    used,
  })
  try {
    return await read(chosen)
  } catch (error) {
    if (fallback && error instanceof RivuletError && error.code === 'backend-unavailable')
      return read(fallback)
    throw error
  }
}

/** @returns the version of each file of the weights; undefined if one is not known, or not stored */
async function readVersions(
  folder: OpenModelFolder,
  { files }: ReadWeights,
): Promise<Readonly<Record<string, string>> | undefined> {
  const versions: Record<string, string> = {}
  for (const path of files) {
    const version = await folder.readVersion(path)
    if (version === undefined) return undefined
    versions[path] = version
  }
  return versions
}

function describeFallback({ description }: ChosenDevice, { model }: ModelWeights): string {
  if (hasSoftCap(model))
    return "The model runs on WASM, which is slower: ONNX Runtime ignores the soft cap of the model's attention on WebGPU."
  return `The model runs on WASM, which is slower: its files need 16-bit floats (shader-f16), which the graphics adapter (${description}) does not support.`
}
