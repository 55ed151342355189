import type { GenerateRequest } from './options.js'

/** What is loaded, and what it runs on. */
export interface ModelInfo {
  /** The model folder's URL. */
  readonly model: string
  readonly backend: string
  readonly device: 'webgpu' | 'wasm'
  /** The adapter by name on WebGPU, the number of threads on WASM. */
  readonly deviceDescription: string
  /** Which weight file was taken. */
  readonly dtype: string
  /** How the backend runs the model, in its own words; `onnx()`: `replayed`, `fixed-cache` or `growing-cache`, fastest first. */
  readonly execution: string
  /** Prompt and answer together, in tokens. */
  readonly contextLength: number
  readonly hasChatTemplate: boolean
}

/** How far loading has come. */
export interface LoadProgress {
  /** `load` is everything behind the download: the session, its shaders and the self-test. */
  readonly phase: 'download' | 'load'
  /** The file that moved last, relative to the model's folder; undefined behind the download. */
  readonly file: string | undefined
  /** Over all files; the total grows while sizes become known. */
  readonly loadedBytes: number
  readonly totalBytes: number
}

export interface LoadRequest<Options = unknown> {
  /** The name of a Web Lock that the worker holds as long as it lives, where the browser has locks. */
  readonly lifeLock: string
  /** Absolute URL of the model's folder, with a slash at its end. */
  readonly modelFolder: string
  /** The backend's own options, as its factory on the page checked them. */
  readonly options: Options
}

export type LoadEvent =
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | { readonly kind: 'ready'; readonly info: ModelInfo }

/** Why a generation ended: an end-of-text token or stop string, its length, or its reader. */
export type FinishReason = 'stop' | 'length' | 'cancelled'

/** How likely the model held a token to be, before penalties, bias and temperature: natural logarithms, up to 0. */
export interface TokenLogprob {
  readonly tokenId: number
  /** The token by itself; U+FFFD where it is part of a character, empty where it is a control token. */
  readonly text: string
  readonly logprob: number
}

/** The chosen token, and the likeliest ones in order. */
export interface TokenLogprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[]
}

/** What one decode step adds to the text. */
export interface TokenChunk {
  /** May be empty: a token can hold part of a character, or what could become a stop string. */
  readonly text: string
  /** Token ids of this step; empty in a last chunk that only carries text held back until then. */
  readonly tokenIds: readonly number[]
  /** 0, 1, 2 … within one generation. */
  readonly index: number
  /** One for each of `tokenIds`, where the request has `topLogprobs`. */
  readonly logprobs?: readonly TokenLogprobs[]
}

/** What crosses from worker to page for one generation, in this order: one `started`, chunks, one `ended`. */
export type GenerationEvent =
  | {
      readonly kind: 'started'
      readonly promptTokens: number
      /** How many of them the KV cache held already. */
      readonly cachedPromptTokens: number
      /** Waiting for earlier requests. */
      readonly queueMs: number
      /** Computing the prompt, to its last logits. */
      readonly prefillMs: number
    }
  | { readonly kind: 'chunk'; readonly chunk: Omit<TokenChunk, 'index'> }
  | { readonly kind: 'ended'; readonly finishReason: 'stop' | 'length' }

/** Everything that a page may call in a worker. Cancelling a returned stream cancels its work. */
export interface WorkerApi {
  /** Stays open behind `ready`, and fails when the model is lost: with `device-lost`. */
  load(request: LoadRequest): ReadableStream<LoadEvent>
  generate(request: GenerateRequest): ReadableStream<GenerationEvent>
  unload(): Promise<void>
}

/** The names of `WorkerApi`'s methods: nothing else of the worker can be reached. */
export const workerMethods = ['load', 'generate', 'unload'] as const satisfies readonly (keyof WorkerApi)[]
