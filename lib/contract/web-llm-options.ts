export const webLlmCaches = ['cache', 'indexeddb', 'opfs'] as const
/** Where web-llm keeps what it downloads: it has a store of its own. */
export type WebLlmCache = (typeof webLlmCaches)[number]

/** A model that is not on web-llm's own list; its fields are those of web-llm's `ModelRecord`. */
export interface WebLlmModelRecord {
  readonly model_id: string
  /** Of the folder with `mlc-chat-config.json`, or `https://huggingface.co/owner/name`. */
  readonly model: string
  /** The compiled library, a WebAssembly file that fits this version of web-llm. */
  readonly model_lib: string
  readonly overrides?: { readonly context_window_size?: number } & Readonly<Record<string, unknown>>
  readonly required_features?: readonly string[]
  /** Hashes (Subresource Integrity) of the configuration, the library and the tokenizer; not of the weights. */
  readonly integrity?: {
    readonly config?: string
    readonly model_lib?: string
    readonly tokenizer?: Readonly<Record<string, string>>
    readonly onFailure?: 'error' | 'warn'
  }
}

/** What the worker is told of `webLlm()`'s options. */
export interface WebLlmLoadOptions {
  readonly model: string
  /** With absolute URLs. */
  readonly modelRecords: readonly WebLlmModelRecord[]
  readonly cache: WebLlmCache
  readonly contextLength: number | undefined
}
