import type { DownloadRequest } from './download-options.js'
import type { ModelLocation } from './model-source.js'
import type { GenerateRequest } from './options.js'

/** What is loaded, and what it runs on. */
export interface ModelInfo {
  /** The model folder's URL, the name of a folder of the visitor's, or the server's name for it. */
  readonly model: string
  readonly backend: string
  /** `server`: not the visitor's machine. */
  readonly device: 'webgpu' | 'wasm' | 'server'
  /** The adapter by name on WebGPU, the number of threads on WASM, a server's address. */
  readonly deviceDescription: string
  /** Which weight file was taken; undefined where a server does not tell. */
  readonly dtype: string | undefined
  /**
   * How the backend runs the model, in its own words. `onnx()`: `replayed`, `fixed-cache` or `growing-cache`, fastest
   * first; `llamaCpp()`: `multi-threaded` or `single-threaded`; `webLlm()`: `mlc`; `remote()`: `sse`.
   */
  readonly execution: string
  /** Prompt and answer together, in tokens; undefined where a server does not tell. */
  readonly contextLength: number | undefined
  readonly hasChatTemplate: boolean
  /** It can go on with an answer that broke off, its own or another model's, and takes `continueFinalMessage`. */
  readonly canContinue: boolean
}

/** How far loading has come. */
export interface LoadProgress {
  /**
   * `download` also where files come from the store; `verify`: what came is hashed, where a hash is known; `load`: the
   * runtime takes the weights; `warm-up`: shaders are compiled, and the self-test runs.
   */
  readonly phase: 'download' | 'verify' | 'load' | 'warm-up'
  /** The file that moved last, relative to the model's folder; undefined behind the download. */
  readonly file: string | undefined
  /** Those whose size is known by now. */
  readonly files: readonly FileProgress[]
  /** Over `files`. */
  readonly loadedBytes: number
  readonly totalBytes: number
  /** Of the download, 0 to 1. Never falls: where another file's size becomes known it goes on from where it is. */
  readonly fraction: number
  /** Over the last seconds; undefined while nothing was fetched. */
  readonly bytesPerSecond: number | undefined
  /** At that rate, for what is known to be missing. */
  readonly remainingMs: number | undefined
}

export interface FileProgress {
  readonly path: string
  readonly loadedBytes: number
  readonly totalBytes: number
}

export interface LoadRequest<Options = unknown> {
  /** The name of a Web Lock that the worker holds as long as it lives, where the browser has locks. */
  readonly lifeLock: string
  readonly model: ModelLocation
  readonly download: DownloadRequest
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
  /**
   * Token ids of this step; empty in a last chunk that only carries text held back until then, and where a runtime does
   * not tell them: `remote()`, `webLlm()`, and `llamaCpp()` without `topLogprobs`.
   */
  readonly tokenIds: readonly number[]
  /** How many tokens this step is; a chunk of a server's counts as one, whatever it holds. */
  readonly tokenCount: number
  /** 0, 1, 2 … within one generation. */
  readonly index: number
  /** One for each of `tokenIds`, where the request has `topLogprobs`. */
  readonly logprobs?: readonly TokenLogprobs[]
}

/** What a runtime or a server counted and measured. */
export interface CountedTokens {
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly completionTokens: number
  /** Without the network, and without waiting for others; undefined where it does not tell. */
  readonly timings: ModelTimings | undefined
}

/** How long a model took, by its own clock. */
export interface ModelTimings {
  /** For the prompt, to the first token. */
  readonly prefillMs: number
  /** For all tokens. */
  readonly decodeMs: number
}

/** What crosses from worker to page for one generation, in this order: one `started`, chunks, `counted` where a runtime counts by itself, one `ended`. */
export type GenerationEvent =
  | {
      readonly kind: 'started'
      /** Undefined where a runtime counts by itself, and tells at the end. */
      readonly promptTokens: number | undefined
      /** How many of them the KV cache held already. */
      readonly cachedPromptTokens: number
      /** Waiting for earlier requests. */
      readonly queueMs: number
      /** Computing the prompt, to its last logits. */
      readonly prefillMs: number
    }
  | { readonly kind: 'chunk'; readonly chunk: Omit<TokenChunk, 'index'> }
  | ({ readonly kind: 'counted' } & CountedTokens)
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
