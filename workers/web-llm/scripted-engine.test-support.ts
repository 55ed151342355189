// The real engine of @mlc-ai/web-llm (its loop, locks, prompts and prefix reuse) with a scripted pipeline. Loading is scripted
// too: real loading needs a model library.
import type { MLCEngineConfig } from '@mlc-ai/web-llm'
import type {
  ChatConfig,
  ChatRequest,
  InitProgressReport,
  MlcEngine,
  RawRequest,
  WebLlmRuntime,
} from './runtime.js'
import type { Script, Seen } from './script.test-support.js'
import { createScriptedPipeline } from './scripted-pipeline.test-support.js'

export const scriptedModel = 'Story-1B-q4f16_1-MLC'

/** As in an `mlc-chat-config.json`. */
const template = {
  system_template: '<|im_start|>system\n{system_message}<|im_end|>\n',
  system_message: '',
  roles: { user: '<|im_start|>user', assistant: '<|im_start|>assistant' },
  role_templates: { user: '{user_message}', assistant: '{assistant_message}' },
  role_content_sep: '\n',
  role_empty_sep: '\n',
  seps: ['<|im_end|>\n'],
  stop_str: ['<|im_end|>'],
}
const config: ChatConfig = { vocab_size: 1000, context_window_size: 400, conv_template: template }

/** web-llm's `ModelType.LLM`. */
const modelTypeLlm = 0

/** web-llm's private fields, which the stand-in sets. */
interface EngineInside {
  readonly loadedModelIdToPipeline: Map<string, unknown>
  readonly loadedModelIdToChatConfig: Map<string, ChatConfig>
  readonly loadedModelIdToModelType: Map<string, number>
  readonly loadedModelIdToLock: Map<string, unknown>
  reloadController: AbortController | undefined
  getInitProgressCallback(): (report: InitProgressReport) => void
  chatCompletion(request: ChatRequest): Promise<unknown>
  completion(request: RawRequest): Promise<unknown>
  getModelStates(requestName: string, modelType: number, modelId?: string): unknown
}

/** Imports web-llm on demand, as the library does. */
export function createScriptedRuntime(script: Script): {
  readonly importRuntime: () => Promise<WebLlmRuntime>
  readonly seen: Seen
} {
  let engine: (EngineInside & MlcEngine) | undefined
  const seen: Seen = {
    steps: 0,
    requests: [],
    prefilled: [],
    promptTokens: [],
    overrides: undefined,
    isLocked: false,
    get isLoaded() {
      return engine?.loadedModelIdToPipeline.has(scriptedModel) ?? false
    },
    interrupts: 0,
    loseDevice: () => void engine?.unload(),
  }
  const record = { model: 'https://models.invalid/story', model_id: scriptedModel, model_lib: 'story.wasm' }
  const embedding = { ...record, model_id: 'Story-embed-q0f32-MLC', model_type: 1 }
  async function importRuntime(): Promise<WebLlmRuntime> {
    const webLlm = await import('@mlc-ai/web-llm')
    function createEngine(options: MLCEngineConfig): MlcEngine {
      engine = new webLlm.MLCEngine(options) as unknown as EngineInside & MlcEngine
      scriptLoading(engine, script, seen)
      watchRequests(engine, seen)
      return engine
    }
    return {
      ...webLlm,
      MLCEngine: createEngine,
      prebuiltAppConfig: { model_list: [record, embedding] },
    } as unknown as WebLlmRuntime
  }
  return { importRuntime, seen }
}

function scriptLoading(engine: EngineInside & MlcEngine, script: Script, seen: Seen): void {
  const { getModelStates } = engine
  Object.assign(engine, {
    async reload(modelId: string, overrides: Readonly<Record<string, unknown>>) {
      seen.overrides = overrides
      const abort = new AbortController()
      // `unload` aborts it.
      engine.reloadController = abort
      const aborted = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve()))
      if ((await script.onReload?.(engine.getInitProgressCallback(), aborted)) === false) return
      const loaded = { ...config, ...script.config, ...overrides }
      engine.loadedModelIdToChatConfig.set(modelId, loaded)
      engine.loadedModelIdToPipeline.set(modelId, createScriptedPipeline(script, seen, loaded))
      engine.loadedModelIdToModelType.set(modelId, modelTypeLlm)
      engine.loadedModelIdToLock.set(modelId, createLock(seen))
    },
    /** The real method requires a pipeline of its own class. */
    getModelStates(requestName: string, modelType: number, modelId?: string) {
      const pipeline = engine.loadedModelIdToPipeline.get(scriptedModel)
      if (!pipeline) return getModelStates.call(engine, requestName, modelType, modelId)
      return [scriptedModel, pipeline, engine.loadedModelIdToChatConfig.get(scriptedModel)]
    },
  })
}

function watchRequests(engine: EngineInside & MlcEngine, seen: Seen): void {
  const { chatCompletion, completion, interruptGenerate } = engine
  Object.assign(engine, {
    async chatCompletion(request: ChatRequest) {
      const chunks = await chatCompletion.call(engine, request)
      seen.requests.push(request)
      return chunks
    },
    async completion(request: RawRequest) {
      const chunks = await completion.call(engine, request)
      seen.requests.push(request)
      return chunks
    },
    interruptGenerate() {
      seen.interrupts += 1
      return interruptGenerate.call(engine)
    },
  })
}

/** Works as web-llm's lock, whose class is not exported. */
function createLock(seen: Seen) {
  const waiting: (() => void)[] = []
  return {
    async acquire(): Promise<void> {
      if (seen.isLocked) await new Promise<void>((resolve) => waiting.push(resolve))
      seen.isLocked = true
    },
    async release(): Promise<void> {
      const next = waiting.shift()
      if (next) next()
      else seen.isLocked = false
    },
  }
}
