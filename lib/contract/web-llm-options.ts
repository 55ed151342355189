export const webLlmCaches = ['cache', 'indexeddb', 'opfs'] as const

/** Where web-llm keeps its files: the Cache API, IndexedDB or the origin private file system. */
export type WebLlmCache = (typeof webLlmCaches)[number]

/** A model that web-llm can load, in the shape of its own `ModelRecord`. */
export interface WebLlmModelRecord {
  /** The folder of `mlc-chat-config.json` and the weights; web-llm adds `resolve/main/` where `resolve/` is missing. */
  readonly model: string
  /** The name that `model` of `webLlm()` chooses it by. */
  readonly model_id: string
  /** The compiled library, a `.wasm` file. */
  readonly model_lib: string
  /** Put over the fields of `mlc-chat-config.json`. */
  readonly overrides?: Readonly<Record<string, unknown>>
  readonly vram_required_MB?: number
  readonly low_resource_required?: boolean
  readonly buffer_size_required_bytes?: number
  /** Of the GPU: `['shader-f16']`. */
  readonly required_features?: readonly string[]
  /** web-llm's `ModelType`: 0 writes text, 1 embeds and is refused, 2 also sees. */
  readonly model_type?: number
  readonly integrity?: WebLlmIntegrity
  /** The URL of `mlc-model-manifest.json`, relative to `model`. */
  readonly model_manifest?: string
}

/** What files must hash to, as `sha256-…`, `sha384-…` or `sha512-…` in base64. web-llm has no such check for weights. */
export interface WebLlmIntegrity {
  /** Of `mlc-chat-config.json`. */
  readonly config?: string
  readonly model_lib?: string
  /** By file name. */
  readonly tokenizer?: Readonly<Record<string, string>>
  /** @default 'error' */
  readonly onFailure?: 'error' | 'warn'
}

/** What the worker is told of `webLlm()`'s options. */
export interface WebLlmLoadOptions {
  readonly model: string
  /** Looked through before web-llm's own list; `model` and `model_lib` are absolute. */
  readonly modelRecords: readonly WebLlmModelRecord[]
  readonly cache: WebLlmCache | undefined
  /** In tokens. */
  readonly contextLength: number | undefined
}
