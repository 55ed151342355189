import { asRivuletError } from '../../lib/contract/errors.js'
import type { Role } from '../../lib/contract/request.js'
import type { WebLlmCache, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'

/** The used part of @mlc-ai/web-llm 0.2.86. */
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

/** A web-llm engine. An engine can hold several models; this backend loads only one. */
export interface MlcEngine {
  /** Loads a model. An aborted `reload` resolves without a model, or continues loading. */
  reload(modelId: string, overrides: Readonly<Record<string, unknown>>): Promise<void>
  /** Unloads the model. Also aborts a running `reload`. */
  unload(): Promise<void>
  /** Interrupts the running request. Has no effect before the first step of that request. */
  interruptGenerate(): Promise<void>
  /** Returns the whole answer so far, without the stop string that ended it. */
  getMessage(): Promise<string>
  readonly chat: { readonly completions: Completions<ChatRequest> }
  readonly completions: Completions<RawRequest>
}

interface Completions<Request> {
  create(request: Request): Promise<AsyncIterable<Chunk>>
}

/** For a missing field, web-llm uses the model's default. */
interface SamplingParameters {
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
  readonly response_format?: { readonly type: 'grammar'; readonly grammar: string }
}

export interface ChatRequest extends SamplingParameters {
  readonly messages: readonly Message[]
  /** web-llm's own fields. */
  readonly extra_body?: { readonly enable_thinking: false }
}

export interface RawRequest extends SamplingParameters {
  readonly prompt: string
}

export interface Message {
  readonly role: Role
  readonly content: string
}

/** A chunk of a stream. Its text is not used: it can split characters and contain parts of stop strings. */
export interface Chunk {
  readonly choices: readonly { readonly finish_reason: string | null }[]
  readonly usage?: Usage | null
}

/** web-llm's counts: only the computed prompt tokens, and all answer tokens, including the end token. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly extra: { readonly time_to_first_token_s: number; readonly time_per_output_token_s: number }
}

/** The used part of `mlc-chat-config.json`, with the overrides applied. */
export interface ChatConfig {
  readonly vocab_size: number
  /** The length of the context; -1 if the model has a sliding window. */
  readonly context_window_size: number
  readonly conv_template: ConversationTemplate
  readonly conv_config?: Partial<ConversationTemplate>
}

export interface ConversationTemplate {
  readonly system_template: string
  readonly roles: Readonly<Record<string, string>>
  /** The text between the assistant's role and its answer. */
  readonly role_empty_sep?: string
  readonly role_templates?: Readonly<Record<string, string>> | null
  readonly seps: readonly string[]
  readonly stop_str: readonly string[]
}

/** The used part of a tokenizer of web-llm. It decodes control tokens as their texts. */
export interface MlcTokenizer {
  encode(text: string): ArrayLike<number>
  /** Returns the token's text in the vocabulary; empty for an unknown id. */
  idToToken(id: number): string
}

/** Imports the optional peer dependency. @throws RivuletError `backend-unavailable` */
export async function importWebLlm(): Promise<WebLlmRuntime> {
  try {
    // web-llm's request types are mutable, ours are readonly.
    return (await import('@mlc-ai/web-llm')) as unknown as WebLlmRuntime
  } catch (error) {
    throw asRivuletError(error, 'backend-unavailable', '@mlc-ai/web-llm could not be loaded')
  }
}

/** What web-llm has loaded. */
export interface LoadedFiles {
  readonly config: ChatConfig
  readonly tokenizer: MlcTokenizer
}

/**
 * Reads the engine's actual configuration and its tokenizer from private fields: there is no public way. The peer's version is
 * pinned.
 */
export function readLoadedFiles(engine: MlcEngine, modelId: string): LoadedFiles | undefined {
  const { loadedModelIdToChatConfig, loadedModelIdToPipeline } = engine as {
    readonly loadedModelIdToChatConfig?: ReadonlyMap<string, ChatConfig>
    readonly loadedModelIdToPipeline?: ReadonlyMap<string, { readonly tokenizer?: MlcTokenizer }>
  }
  const config = loadedModelIdToChatConfig?.get(modelId)
  const tokenizer = loadedModelIdToPipeline?.get(modelId)?.tokenizer
  return config && tokenizer && { config, tokenizer }
}
