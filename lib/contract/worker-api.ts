import type { DownloadRequest } from './download-request.js'
import type { ModelLocation } from './model-location.js'
import type { OptionName } from './option-table.js'
import type { GenerateRequest, Role } from './request.js'

/** The loaded model, and what it runs on. */
export interface ModelInfo {
  /** The URL of the model's folder or file, the name of a local folder, or the server's name for the model. */
  readonly model: string
  readonly backend: string
  /** `server`: not the user's machine. */
  readonly device: 'webgpu' | 'wasm' | 'server'
  /** The adapter's name on WebGPU, the number of threads on WASM, the server's host. */
  readonly deviceDescription: string
  /** The weight variant that was loaded; undefined if a server does not report it. */
  readonly dtype: string | undefined
  readonly execution: Execution
  /** Prompt and answer together, in tokens; undefined if a server does not report it. */
  readonly contextLength: number | undefined
  readonly supports: ModelSupport
}

/**
 * How the backend runs the model. `onnx()`: `replayed`, `fixed-cache` or `growing-cache`, fastest first; `llamaCpp()`:
 * `multi-threaded` or `single-threaded`; `webLlm()`: `mlc`; `remote()`: `sse`.
 */
export type Execution =
  | 'replayed'
  | 'fixed-cache'
  | 'growing-cache'
  | 'multi-threaded'
  | 'single-threaded'
  | 'mlc'
  | 'sse'

/** What the loaded model takes. `engine.generate` refuses everything else before any work. */
export interface ModelSupport {
  /** `chat`: messages, through a chat template; `text`: raw text. */
  readonly inputs: readonly ('chat' | 'text')[]
  readonly roles: readonly Role[]
  readonly options: readonly OptionName[]
  /** Can continue an answer: its own after a loss, another model's, and with `continueFinalMessage`. */
  readonly continuation: boolean
  /**
   * A continued answer draws the same tokens as the uninterrupted one, if the seed is the same. The engine then draws a
   * seed for requests that have none, so that recovery continues the same answer.
   */
  readonly seededContinuation: boolean
  /** How many generations run at the same time; others wait in the engine's queue. */
  readonly concurrency: number
}

/** The state of loading a model. */
export interface LoadProgress {
  /**
   * `download`: files are read from the network or the model store; `verify`: they are hashed, if a hash is known;
   * `load`: the runtime takes the weights; `warm-up`: shaders are compiled, and the self-test runs.
   */
  readonly phase: 'download' | 'verify' | 'load' | 'warm-up'
  /** The file whose progress changed last, relative to the model's folder; undefined after the download. */
  readonly file: string | undefined
  /** The files whose size is known so far. */
  readonly files: readonly FileProgress[]
  /** The sum over `files`. */
  readonly loadedBytes: number
  readonly totalBytes: number
  /** The progress of the download, from 0 to 1. It never decreases, even when the size of another file becomes known. */
  readonly fraction: number
  /** Over the last seconds; undefined until something was fetched. */
  readonly bytesPerSecond: number | undefined
  /** For the known remaining bytes, at that rate. */
  readonly remainingMs: number | undefined
}

export interface FileProgress {
  readonly path: string
  readonly loadedBytes: number
  readonly totalBytes: number
}

export interface LoadRequest<Options = unknown> {
  /** The name of a Web Lock that the worker holds while it lives, if the browser has Web Locks. */
  readonly lifeLock: string
  readonly model: ModelLocation
  readonly download: DownloadRequest
  /** The backend's options, checked by its factory on the page. */
  readonly options: Options
}

export type LoadEvent =
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | { readonly kind: 'ready'; readonly info: ModelInfo }

/** Why a generation ended: an end-of-sequence token or a stop string, `maxTokens` or the context length, or a cancel. */
export type FinishReason = 'stop' | 'length' | 'cancelled'

/** The model's probability of a token, before penalties, bias and temperature. */
export interface TokenLogprob {
  readonly tokenId: number
  /** The token's text; U+FFFD for a part of a character, empty for a control token. */
  readonly text: string
  /** Natural logarithm; at most 0. */
  readonly logprob: number
}

/** The chosen token, and the most likely tokens in order. */
export interface TokenLogprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[]
}

/** What one decode step adds to the answer. */
export interface TokenChunk {
  /** May be empty: a token can be part of a character, or of a possible stop string. */
  readonly text: string
  /**
   * The token ids of this step. Empty in a last chunk that only contains text held back until then, and for runtimes that
   * do not report them: `remote()`, `webLlm()`, and `llamaCpp()` without `topLogprobs`.
   */
  readonly tokenIds: readonly number[]
  /** The number of tokens in this step; a server's chunk counts as one. */
  readonly tokenCount: number
  /** 0, 1, 2 … within one generation. */
  readonly index: number
  /** One for each of `tokenIds`, if the request has `topLogprobs`. */
  readonly logprobs?: readonly TokenLogprobs[]
}

/** What a runtime or a server counted and measured itself. */
export interface CountedTokens {
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly completionTokens: number
  /** Without the network and without queueing; undefined if it reports none. */
  readonly timings: ModelTimings | undefined
}

/** Compute times, by the runtime's or server's own clock. */
export interface ModelTimings {
  /** For the prompt, up to the first token. */
  readonly prefillMs: number
  /** For all tokens. */
  readonly decodeMs: number
}

/** What a backend reports of one generation, in this order: one `started`, chunks, and `counted` if its runtime counts tokens itself. */
export type GenerationStep =
  | {
      /** The prompt is computed. */
      readonly kind: 'started'
      /** The number of prompt tokens. Undefined if the runtime counts tokens itself and reports the number at the end. */
      readonly promptTokens: number | undefined
      /** How many of them were in the KV cache already. */
      readonly cachedPromptTokens: number
      /** Time in the queue, waiting for earlier requests. */
      readonly queueMs: number
      /** Time to compute the prompt, up to its last logits. */
      readonly prefillMs: number
    }
  | ({ readonly kind: 'chunk' } & Omit<TokenChunk, 'index'>)
  | ({ readonly kind: 'counted' } & CountedTokens)

/** What crosses from worker to page for one generation: a backend's steps, then one `ended`. */
export type GenerationEvent =
  | GenerationStep
  | { readonly kind: 'ended'; readonly finishReason: 'stop' | 'length' }

/** All methods that a page may call in a worker. Cancelling a returned stream cancels its work. */
export interface WorkerApi {
  /** Stays open after `ready`, and fails with `device-lost` when the model is lost. */
  load(request: LoadRequest): ReadableStream<LoadEvent>
  generate(request: GenerateRequest): ReadableStream<GenerationEvent>
  unload(): Promise<void>
}

/** The names of `WorkerApi`'s methods. The page can reach nothing else of the worker. */
export const workerMethods = ['load', 'generate', 'unload'] as const satisfies readonly (keyof WorkerApi)[]
