export const webLlmCaches = ['cache', 'indexeddb', 'opfs'] as const

/** Where web-llm stores files: the Cache API, IndexedDB or the origin private file system. */
export type WebLlmCache = (typeof webLlmCaches)[number]

/** A model that web-llm can load, in the format of web-llm's `ModelRecord`. */
export interface WebLlmModelRecord {
  /**
   * URL of the folder with `mlc-chat-config.json` and the weights. web-llm appends `resolve/main/` if the URL does not
   * contain `resolve/`.
   */
  readonly model: string
  /** The id to pass as `webLlm({ model })`. */
  readonly model_id: string
  /** URL of the compiled model library, a `.wasm` file. */
  readonly model_lib: string
  /** Values that replace fields of `mlc-chat-config.json`. */
  readonly overrides?: Readonly<Record<string, unknown>>
  readonly vram_required_MB?: number
  readonly low_resource_required?: boolean
  readonly buffer_size_required_bytes?: number
  /** WebGPU features that the model needs, such as `['shader-f16']`. */
  readonly required_features?: readonly string[]
  /** web-llm's `ModelType`: 0 is a text model, 1 an embedding model (refused), 2 a vision model. */
  readonly model_type?: number
  readonly integrity?: WebLlmIntegrity
  /** The URL of `mlc-model-manifest.json`, relative to `model`. */
  readonly model_manifest?: string
}

/** Expected hashes of files, as `sha256-…`, `sha384-…` or `sha512-…` in base64. web-llm cannot verify weights. */
export interface WebLlmIntegrity {
  /** The hash of `mlc-chat-config.json`. */
  readonly config?: string
  readonly model_lib?: string
  /** Hashes of the tokenizer's files, by file name. */
  readonly tokenizer?: Readonly<Record<string, string>>
  /** With `error`, a wrong hash fails the load. With `warn`, it only logs a warning. @default 'error' */
  readonly onFailure?: 'error' | 'warn'
}

/** The options of `webLlm()` that are sent to the worker. */
export interface WebLlmLoadOptions {
  readonly model: string
  /** Models that are searched before web-llm's own list. Their `model` and `model_lib` are absolute URLs. */
  readonly modelRecords: readonly WebLlmModelRecord[]
  readonly cache: WebLlmCache | undefined
  /** The context length in tokens; undefined for the model's own context length. */
  readonly contextLength: number | undefined
}
