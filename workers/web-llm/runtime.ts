import type { AppConfig as MlcAppConfig } from '@mlc-ai/web-llm'
import type { WebLlmCache, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'

/** web-llm's `AppConfig`. */
export interface AppConfig {
  readonly model_list: readonly WebLlmModelRecord[]
  readonly cacheBackend: WebLlmCache
}

/** How far web-llm's loading has come, in its own words. */
export interface InitProgress {
  /** Of what `text` names, 0 to 1. */
  readonly progress: number
  readonly text: string
}

/** What is read of its chunks; those of a completion without a template have a `text`. */
export interface MlcChunk {
  readonly choices: readonly {
    readonly delta?: { readonly content?: string | null }
    readonly text?: string
    readonly finish_reason?: 'stop' | 'length' | 'abort' | 'tool_calls' | null
  }[]
  readonly usage?: {
    /** Those that were computed: what an earlier round left in the KV cache is not counted. */
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly extra: { readonly time_to_first_token_s: number; readonly time_per_output_token_s: number }
  } | null
}

/** What is asked of web-llm's `MLCEngine`. */
export interface MlcEngine {
  /** Also resolves, without a model, when it was given up. */
  reload(model: string, overrides: object): Promise<void>
  unload(): Promise<void>
  /** What it has said in the round that runs, or ran last. Rejects without a model. */
  getMessage(): Promise<string>
  chatCompletion(request: object): Promise<AsyncIterable<MlcChunk>>
  completion(request: object): Promise<AsyncIterable<MlcChunk>>
  /** Ends the round that runs before its next step; its last chunks still come. */
  interruptGenerate(): Promise<void>
}

/** The package, as far as it is used. */
export interface WebLlmRuntime {
  readonly prebuiltModels: readonly WebLlmModelRecord[]
  createEngine(config: AppConfig, onProgress: (progress: InitProgress) => void): MlcEngine
  hasModelInCache(model: string, config: AppConfig): Promise<boolean>
}

/** The real package: an optional peer, loaded when it is needed. */
export async function loadWebLlm(): Promise<WebLlmRuntime> {
  const { MLCEngine, hasModelInCache, prebuiltAppConfig } = await import('@mlc-ai/web-llm')
  return {
    prebuiltModels: prebuiltAppConfig.model_list,
    createEngine: (appConfig, initProgressCallback) =>
      new MLCEngine({ appConfig: copyConfig(appConfig), initProgressCallback, logLevel: 'SILENT' }),
    hasModelInCache: (model, appConfig) => hasModelInCache(model, copyConfig(appConfig)),
  }
}

/** Its type lets it write, which it does not. */
function copyConfig(config: AppConfig): MlcAppConfig {
  return { ...config, model_list: [...config.model_list] as MlcAppConfig['model_list'] }
}
