import { createDeferred } from '../../lib/contract/create-deferred.js'
import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import { listOptions } from '../../lib/contract/option-table.js'
import { textRoles, type GenerateRequest } from '../../lib/contract/request.js'
import type { WebLlmLoadOptions } from '../../lib/contract/web-llm-options.js'
import type { GenerationStep, LoadProgress, WorkerModelInfo } from '../../lib/contract/worker-api.js'
import type { Backend, GenerateContext } from '../backend.js'
import { describeAdapter } from '../describe-device.js'
import { failOnLoss } from '../gpu-loss.js'
import { describeRequest, readRequestRules, type RequestRules } from './describe-request.js'
import { explainGenerationFailure, explainLoadFailure } from './explain-failure.js'
import { findModel, readDtype } from './find-model.js'
import { createProgressReader } from './load-progress.js'
import { listThoughtDemands, type ModelThoughts } from './model-thoughts.js'
import { createPrefixReuse, type PrefixReuse } from './prefix-reuse.js'
import {
  importWebLlm,
  readLoadedFiles,
  type AppConfig,
  type ChatConfig,
  type LoadedFiles,
  type MlcEngine,
  type WebLlmRuntime,
} from './runtime.js'
import { streamAnswer } from './stream-answer.js'
import { watchDevices } from './watch-devices.js'

interface LoadedModel {
  readonly engine: MlcEngine
  readonly reuse: PrefixReuse
  readonly rules: RequestRules
  loseDevice(error: RivuletError): void
}

/**
 * Creates the backend that runs MLC models on web-llm. web-llm's engine runs in this worker: web-llm's own worker would
 * cost a round trip per token, and turn errors into strings.
 */
export function createWebLlmBackend(importRuntime = importWebLlm): Backend<WebLlmLoadOptions> {
  let loaded: LoadedModel | undefined
  return {
    stepsInFlight: 0,

    async load({ options }, { onProgress, onLost, signal }) {
      const { webgpu } = await probeDevices()
      if ('unavailable' in webgpu) throw new RivuletError('backend-unavailable', webgpu.unavailable)
      const runtime = await importRuntime()
      const model = findModel(options, runtime.prebuiltAppConfig)
      const engine = createMlcEngine(runtime, model.appConfig, onProgress)
      const loseDevice = (error: RivuletError) => {
        // Ignores the loss of an unloaded model's device.
        if (loaded?.engine === engine) onLost(error)
      }
      const lost = createDeferred<string>()
      const reloading = watchDevices(
        () => reload(engine, options, signal),
        (reason) => {
          lost.resolve(reason)
          loseDevice(new RivuletError('device-lost', `The GPU was lost: ${reason}`))
        },
      )
      try {
        await failOnLoss(lost.promise, reloading)
      } catch (error) {
        signal.throwIfAborted()
        throw await explainLoadFailure(error, model, runtime)
      }
      const files = await readFiles(engine, options.model)
      const rules = readRequestRules(files, model.record.model_manifest !== undefined)
      loaded = {
        engine,
        reuse: createPrefixReuse(),
        rules,
        loseDevice,
      }
      return describeModel(options.model, files.config, rules.thoughts, describeAdapter(webgpu.adapter))
    },

    generate(request, context) {
      if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded. Create a new engine.')
      return generateAnswer(loaded, request, context)
    },

    async unload() {
      const released = loaded
      loaded = undefined
      await released?.engine.unload()
    },
  }
}

function createMlcEngine(
  runtime: WebLlmRuntime,
  appConfig: AppConfig,
  onProgress: (progress: LoadProgress) => void,
): MlcEngine {
  const readProgress = createProgressReader()
  onProgress(readProgress({ progress: 0, text: '' }))
  return new runtime.MLCEngine({
    appConfig,
    initProgressCallback: (report) => onProgress(readProgress(report)),
  })
}

function describeModel(
  model: string,
  { context_window_size }: ChatConfig,
  thoughts: ModelThoughts,
  deviceDescription: string,
): WorkerModelInfo {
  const reasoning = listThoughtDemands(thoughts)
  return {
    model,
    backend: 'web-llm',
    device: 'webgpu',
    deviceDescription,
    dtype: readDtype(model),
    execution: 'mlc',
    warnings: [],
    contextLength: context_window_size > 0 ? context_window_size : undefined,
    supports: {
      inputs: ['chat', 'text'],
      roles: textRoles,
      formats: ['json', 'json-schema', 'regex', 'grammar'],
      reasoning,
      options: listOptions('web-llm').filter((name) => name !== 'reasoning' || reasoning.length > 0),
      hints: {
        tools: noTemplate,
        toolChoice: noTemplate,
        parallelToolCalls: noTemplate,
        reasoning: noSwitch,
      },
      continuation: false,
      seededContinuation: false,
      tokenCounting: false,
      prefill: false,
      keptPrefixes: false,
      // web-llm has one KV cache, and one flag that interrupts any running request.
      concurrency: 1,
    },
  }
}

const noTemplate = "MLC's models have no chat template that could contain it. Use onnx() or llamaCpp()."
const noSwitch =
  'web-llm cannot turn this model\'s thoughts on or off. Leave "reasoning" out, or use onnx() or llamaCpp().'

/** Loads a model. Rejects as soon as `signal` aborts: web-llm's own `reload` then resolves, or continues loading. */
async function reload(engine: MlcEngine, options: WebLlmLoadOptions, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { contextLength } = options
  const loading = engine.reload(
    options.model,
    // A model has either a context window or a sliding window.
    contextLength === undefined ? {} : { context_window_size: contextLength, sliding_window_size: -1 },
  )
  const unload = () => engine.unload().catch(() => {})
  let abandon = () => {}
  const abandoned = new Promise<never>((_, reject) => {
    abandon = () => {
      reject(signal.reason)
      void unload()
      loading.then(unload, () => {})
    }
  })
  signal.addEventListener('abort', abandon)
  try {
    await Promise.race([loading, abandoned])
  } finally {
    signal.removeEventListener('abort', abandon)
  }
}

async function readFiles(engine: MlcEngine, modelId: string): Promise<LoadedFiles> {
  try {
    // `getMessage` fails if no model is loaded.
    await engine.getMessage()
  } catch (error) {
    throw new RivuletError('download-failed', 'web-llm stopped loading without giving a reason. Retry.', {
      cause: error,
    })
  }
  const files = readLoadedFiles(engine, modelId)
  if (files) return files
  throw new RivuletError(
    'backend-unavailable',
    'The installed version of @mlc-ai/web-llm is not supported. Install exactly 0.2.86.',
  )
}

async function* generateAnswer(
  { engine, reuse, rules, loseDevice }: LoadedModel,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  try {
    const described = describeRequest(request, rules)
    return yield* streamAnswer(described, {
      engine,
      reuse,
      stopStrings: rules.stopStrings,
      signal,
      queueMs,
    })
  } catch (error) {
    signal.throwIfAborted()
    const explained = explainGenerationFailure(error)
    if (explained instanceof RivuletError && explained.code === 'device-lost') loseDevice(explained)
    throw explained
  }
}
