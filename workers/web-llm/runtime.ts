import { asRivuletError } from '../../lib/contract/errors.js'
import type { Role } from '../../lib/contract/request.js'
import type { WebLlmCache, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'

/** What is used of @mlc-ai/web-llm 0.2.86. */
export interface WebLlmRuntime {
  readonly MLCEngine: new (config: {
    readonly appConfig: AppConfig
    readonly initProgressCallback: (report: InitProgressReport) => void
  }) => MlcEngine
  readonly prebuiltAppConfig: AppConfig
  deleteChatConfigInCache(modelId: string, appConfig: AppConfig): Promise<void>
  deleteModelInCache(modelId: string, appConfig: AppConfig): Promise<void>
  deleteModelWasmInCache(modelId: string, appConfig: AppConfig): Promise<void>
}

export interface AppConfig {
  readonly model_list: readonly WebLlmModelRecord[]
  readonly cacheBackend?: WebLlmCache
}

export interface InitProgressReport {
  readonly progress: number
  readonly text: string
}

/** One engine holds one model here. */
export interface MlcEngine {
  /** Resolves without a model when it is aborted, or goes on to load it. */
  reload(modelId: string, overrides: Readonly<Record<string, unknown>>): Promise<void>
  /** Also aborts a `reload`. */
  unload(): Promise<void>
  /** Lost before the running request's first step has begun. */
  interruptGenerate(): Promise<void>
  /** The whole answer so far, without the stop string that ended it. */
  getMessage(): Promise<string>
  readonly chat: { readonly completions: Completions<ChatRequest> }
  readonly completions: Completions<RawRequest>
}

interface Completions<Request> {
  create(request: Request): Promise<AsyncIterable<Chunk>>
}

/** Without what a request leaves to the model's configuration. */
export interface SamplingParameters {
  readonly stream: true
  readonly stream_options: { readonly include_usage: true }
  readonly max_tokens?: number
  readonly temperature?: number
  readonly top_p?: number
  readonly repetition_penalty?: number
  readonly frequency_penalty?: number
  readonly presence_penalty?: number
  readonly logit_bias?: Readonly<Record<string, number>>
  readonly seed?: number
  readonly stop?: readonly string[]
}

export interface ChatRequest extends SamplingParameters {
  readonly messages: readonly Message[]
}

export interface RawRequest extends SamplingParameters {
  readonly prompt: string
}

export interface Message {
  readonly role: Role
  readonly content: string
}

/** Of a stream: its texts are not read, since they tear characters and hold halves of stop strings. */
export interface Chunk {
  readonly choices: readonly { readonly finish_reason: string | null }[]
  readonly usage?: Usage | null
}

/** What web-llm counts: of the prompt what it computed, of the answer also the token that ends it. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly extra: { readonly time_to_first_token_s: number; readonly time_per_output_token_s: number }
}

/** What is read of `mlc-chat-config.json`, with what was put over it. */
export interface ChatConfig {
  readonly vocab_size: number
  /** -1 where a window slides. */
  readonly context_window_size: number
  readonly conv_template: ConversationTemplate
  readonly conv_config?: Partial<ConversationTemplate>
}

export interface ConversationTemplate {
  readonly system_template: string
  readonly roles: Readonly<Record<string, string>>
  readonly role_templates?: Readonly<Record<string, string>> | null
  readonly seps: readonly string[]
  readonly stop_str: readonly string[]
}

/** @throws RivuletError `backend-unavailable` */
export async function importWebLlm(): Promise<WebLlmRuntime> {
  try {
    // Its request types are the mutable twins of ours.
    return (await import('@mlc-ai/web-llm')) as unknown as WebLlmRuntime
  } catch (error) {
    throw asRivuletError(error, 'backend-unavailable', '@mlc-ai/web-llm could not be loaded')
  }
}

/** The configuration that the engine really runs with. It tells it nowhere; the peer's version is pinned. */
export function readChatConfig(engine: MlcEngine, modelId: string): ChatConfig | undefined {
  const { loadedModelIdToChatConfig } = engine as {
    readonly loadedModelIdToChatConfig?: ReadonlyMap<string, ChatConfig>
  }
  return loadedModelIdToChatConfig?.get(modelId)
}
