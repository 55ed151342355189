import type { DownloadRequest } from './download-request.js'
import type { ModelLocation } from './model-location.js'
import type { OptionName } from './option-table.js'
import type { GenerateRequest, RequestFormat, Role } from './request.js'

/** Describes the loaded model and the device that it runs on. */
export interface ModelInfo {
  /** The URL of the model's folder or file, the name of a local folder, or the server's name for the model. */
  readonly model: string
  readonly backend: string
  /**
   * Where the model is loaded. `tab`: in a worker of this page, for this engine only. `shared`: in a worker of one of the
   * origin's pages, for the engines of all pages with `host: 'shared'`.
   */
  readonly host: 'tab' | 'shared'
  /**
   * The device that the model runs on. `server` is the server of `remote()`, not the user's machine. `browser` is the browser's
   * own model, whose device is not known.
   */
  readonly device: 'webgpu' | 'wasm' | 'server' | 'browser'
  /** On WebGPU, the adapter's name; on WASM, the number of threads; on a server, the server's host. */
  readonly deviceDescription: string
  /** The weight variant that was loaded; undefined if a server does not report it. */
  readonly dtype: string | undefined
  readonly execution: Execution
  /**
   * Why the model runs more slowly here than it could: sentences for the developer. Empty if there is no reason. Only
   * `onnx()` reports reasons: a check found that a faster `execution` does not work on this device, `device: 'auto'` chose
   * WASM because the graphics adapter cannot compute the model or the folder's files, or every prompt is computed from its
   * start because the model's activations are quantized dynamically.
   */
  readonly warnings: readonly string[]
  /** Maximum length of prompt and answer together, in tokens; undefined if a server does not report it. */
  readonly contextLength: number | undefined
  readonly supports: ModelSupport
}

/** What a worker reports about its model. The page adds the host. */
export type WorkerModelInfo = Omit<ModelInfo, 'host'>

/**
 * How the backend runs the model. `onnx()`: `replayed`, `fixed-cache` or `growing-cache`, fastest first; `llamaCpp()`:
 * `multi-threaded` or `single-threaded`; `webLlm()`: `mlc`; `remote()`: `sse`, `responses-sse`, `responses-websocket` or
 * `grpc-web`; `promptApi()`: `prompt-api`.
 */
export type Execution =
  | 'replayed'
  | 'fixed-cache'
  | 'growing-cache'
  | 'multi-threaded'
  | 'single-threaded'
  | 'mlc'
  | 'sse'
  | 'responses-sse'
  | 'responses-websocket'
  | 'grpc-web'
  | 'prompt-api'

/** What the loaded model supports. `engine.generate` refuses everything else before it starts any work. */
export interface ModelSupport {
  /** `chat` means messages, which are put into a chat template. `text` means raw text. */
  readonly inputs: readonly ('chat' | 'text')[]
  readonly roles: readonly Role[]
  readonly options: readonly OptionName[]
  /** For options that are not in `options`, a sentence that says what would make them work. */
  readonly hints?: { readonly [Name in OptionName]?: string }
  /** The forms of an answer that `responseFormat` can demand. Empty without this option. */
  readonly formats: readonly RequestFormat['kind'][]
  /** What `reasoning` can demand. `budget` means `{ maxTokens }`. Empty without this option. */
  readonly reasoning: readonly ('on' | 'off' | 'budget')[]
  /** True if the model can continue an answer: its own after a loss, another model's, and with `continueFinalMessage`. */
  readonly continuation: boolean
  /**
   * The channels of an answer that the model can continue after a loss.
   * @default only `text`
   */
  readonly continuedChannels?: readonly Channel[]
  /**
   * True if a continued answer draws the same tokens as the uninterrupted one when the seed is the same, and costs no more than
   * without a seed. The engine then draws a seed for requests that have none, so that recovery continues the same answer.
   */
  readonly seededContinuation: boolean
  /** How many generations can run at the same time; others wait in the engine's queue. */
  readonly concurrency: number
  /** True if `engine.countTokens` works. */
  readonly tokenCounting: boolean
  /** True if `engine.prefill` works. */
  readonly prefill: boolean
  /** True if `engine.prefill` accepts `keepPrefix`. */
  readonly keptPrefixes: boolean
}

/** The state of loading a model. */
export interface LoadProgress {
  /**
   * `download`: the model's files and the runtime's WebAssembly are read from the network or the model store; `verify`: files
   * are hashed, if a hash is known;
   * `load`: the runtime loads the weights, and `onnx()` computes the steps that a first load on WebGPU is checked with;
   * `warm-up`: the first load on a device compiles shaders and tests the decoder. Later loads compile them during the other phases.
   */
  readonly phase: 'download' | 'verify' | 'load' | 'warm-up'
  /**
   * The file whose progress changed last, relative to the model's folder; the runtime's file by its name, such as
   * `ort-wasm-simd-threaded.wasm`. Undefined after the download.
   */
  readonly file: string | undefined
  /** The files whose size is known so far, and the runtime's file. */
  readonly files: readonly FileProgress[]
  /** The sum of `loadedBytes` over all `files`. */
  readonly loadedBytes: number
  readonly totalBytes: number
  /**
   * The part of the loading time that has passed, from 0 to 1: the download, the runtime and the warm-up together. It never
   * decreases. It stays at 0 while the size of the weights is unknown, and moves in steps while the runtime computes.
   * For `webLlm()` it is the part of the download, because its runtime reports nothing else.
   */
  readonly fraction: number
  /**
   * The download rate over the last seconds, in bytes as the server sends them, which may be compressed; undefined if it is
   * unknown, for example before the first byte.
   */
  readonly bytesPerSecond: number | undefined
  /**
   * The estimated time until the model is ready, in milliseconds; undefined if there is no estimate. The times after the
   * download are those of the last load of this model in this browser; before a first load, usual ones.
   */
  readonly remainingMs: number | undefined
}

export interface FileProgress {
  readonly path: string
  readonly loadedBytes: number
  readonly totalBytes: number
}

export interface LoadRequest<Options = unknown> {
  /** The name of a Web Lock that the worker holds until it ends, if the browser has Web Locks. */
  readonly lifeLock: string
  readonly model: ModelLocation
  readonly download: DownloadRequest
  /** The backend's options, checked by its factory on the page. */
  readonly options: Options
  /**
   * How often the GPU was lost while this model was loading. From two on, a worker that has several ways to run the model chooses the
   * one that requires the least of the GPU: a faster one may be the reason of the losses.
   * @default 0
   */
  readonly losses?: number
}

export type LoadEvent =
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | { readonly kind: 'ready'; readonly info: WorkerModelInfo }

/**
 * Why a model ended its answer. `stop`: at an end-of-sequence token or a stop string; `length`: at `maxTokens` or the context
 * length; `tool-calls`: to call tools; `content-filter`: a filter of the server ended the answer.
 */
export type AnswerEnd = 'stop' | 'length' | 'tool-calls' | 'content-filter'

/** Why a generation ended: as the model ended its answer, or `cancelled` by a cancel. */
export type FinishReason = AnswerEnd | 'cancelled'

/** The parts of an answer that are kept apart: its text, the model's reasoning, and its tool calls. */
export type Channel = 'text' | 'reasoning' | 'tool-calls'

/** What one step adds to a tool call. */
export interface ToolCallDelta {
  /** The call's number within the answer: 0, 1, 2 … */
  readonly index: number
  /** The call's id. Only the first delta of a call has it. */
  readonly id?: string
  /** The name of the tool. Only the first delta of a call has it. */
  readonly name?: string
  /** What this step adds to the call's arguments, which are a JSON text. Can be empty. */
  readonly argumentsDelta: string
}

/** A tool call of an answer. Nothing runs by itself: the app decides what to do with it. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  /** The arguments as the model wrote them: a JSON text, which can be incomplete if the answer was cut off. */
  readonly arguments: string
}

/** The log-probability that the model gives a token, before penalties, bias and temperature. */
export interface TokenLogprob {
  readonly tokenId: number
  /** The token's text; U+FFFD if the token is part of a character, empty if it is a control token. */
  readonly text: string
  /** The bytes of a token that is part of a character; undefined for other tokens, and if the runtime does not report them. */
  readonly bytes?: readonly number[] | undefined
  /** The natural logarithm of the probability; at most 0. */
  readonly logprob: number
}

/** The log-probability of the chosen token. `top` contains the most likely tokens, the most likely token first. */
export interface TokenLogprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[]
}

/** What one decode step adds to the answer. */
export interface TokenChunk {
  /**
   * The new text. Can be empty, because a token can be part of a character or of a possible stop string, or because the step
   * belongs to another channel.
   */
  readonly text: string
  /** The new text of the model's reasoning, if the step belongs to it. Can be empty, as `text`, and is never a part of it. */
  readonly reasoning?: string
  /** What the step adds to tool calls, if it adds something. */
  readonly toolCalls?: readonly ToolCallDelta[]
  /**
   * The token ids of this step. Empty if the last chunk contains only text that was held back until then. Also empty for
   * runtimes that do not report token ids: `webLlm()`, `remote()` without `grpcWeb()`, and `llamaCpp()` without `topLogprobs`.
   */
  readonly tokenIds: readonly number[]
  /**
   * The number of tokens in this step. A chunk from a server counts as one token, unless the server reports its token count
   * so far with each chunk.
   */
  readonly tokenCount: number
  /** The chunk's number within one generation: 0, 1, 2 … */
  readonly index: number
  /** One entry for each of `tokenIds`, if the request has `topLogprobs`. */
  readonly logprobs?: readonly TokenLogprobs[]
}

/** The token counts and times that a runtime or a server reports itself. */
export interface CountedTokens {
  readonly promptTokens: number
  readonly cachedPromptTokens: number
  readonly completionTokens: number
  /** How many of `completionTokens` are reasoning, if the server reports it. Some servers do not stream the reasoning. */
  readonly reasoningTokens?: number | undefined
  /** The compute times, without the network and queueing; undefined if the runtime or server reports none. */
  readonly timings: ModelTimings | undefined
}

/** The compute times, measured by the clock of the runtime or server. */
export interface ModelTimings {
  /** The time for the prompt, up to the first token. */
  readonly prefillMs: number
  /** The time for all tokens of the answer. */
  readonly decodeMs: number
}

/** How much of a prompt is computed, or was in the KV cache. */
export interface PrefillProgress {
  readonly computedTokens: number
  /** All tokens to compute before the next one is sampled. */
  readonly totalTokens: number
}

/** Whether the KV cache of a prompt is kept in the model store, with its size; if it is not, a sentence that says why. */
export type KeptPrefix =
  | { readonly isKept: true; readonly sizeBytes: number }
  | { readonly isKept: false; readonly reason: string }

/**
 * A step that a backend reports for one generation. The order of the steps: `prefilling` while a prompt is computed, if the
 * request has `reportsPrefill`; one `started`; one `kept`, if the request has `keepsPrefix`; the chunks; and `counted` if the runtime counts tokens itself.
 */
export type GenerationStep =
  /** A part of the prompt was computed, and others remain. */
  | ({ readonly kind: 'prefilling' } & PrefillProgress)
  | {
      /** The prompt has been computed. */
      readonly kind: 'started'
      /** The number of prompt tokens. Undefined if the runtime counts tokens itself and reports the number at the end. */
      readonly promptTokens: number | undefined
      /** How many of the prompt tokens were already in the KV cache. */
      readonly cachedPromptTokens: number
      /** Time in the queue, waiting for earlier requests. */
      readonly queueMs: number
      /** Time to compute the prompt, up to its last logits. */
      readonly prefillMs: number
    }
  /** The prompt's KV cache was kept, or could not be. */
  | { readonly kind: 'kept'; readonly prefix: KeptPrefix }
  | ChunkStep
  /** The connection to a server was lost, and the server goes on with the same answer on another one. */
  | { readonly kind: 'resumed' }
  | ({ readonly kind: 'counted' } & CountedTokens)

/** A chunk of the answer. */
interface ChunkStep extends Omit<TokenChunk, 'index'> {
  readonly kind: 'chunk'
  /** The new text as the model wrote it, with the marks of reasoning and tool calls; missing if it equals `text`. */
  readonly raw?: string
}

/** An event that the worker sends to the page for one generation: first the backend's steps, then one `ended`. */
export type GenerationEvent = GenerationStep | { readonly kind: 'ended'; readonly finishReason: AnswerEnd }

/** All methods that a page may call in a worker. Cancelling a returned stream cancels its work. */
export interface WorkerApi {
  /** Loads the model. The stream stays open after `ready`, and fails with `device-lost` when the model is lost. */
  load(request: LoadRequest): ReadableStream<LoadEvent>
  generate(request: GenerateRequest): ReadableStream<GenerationEvent>
  /** Counts the tokens of the request's prompt. The stream has one chunk: the number. */
  countTokens(request: GenerateRequest): ReadableStream<number>
  unload(): Promise<void>
  /** Answers at once, unless the worker's thread is blocked. */
  readStatus(): Promise<WorkerStatus>
}

/** What a worker says of its progress. */
export interface WorkerStatus {
  /** The URL of the worker's script. */
  readonly scriptUrl: string
  /** How many steps all generations have had so far: parts of prompts, tokens and ends. */
  readonly steps: number
  /** True while a generation computes a step that its reader waits for. */
  readonly isComputing: boolean
}

/** What a page posts to its worker, with a port, to let another page's engine call the worker. */
export interface ClientIntroduction {
  readonly kind: 'rivulet-client'
  /** The name of a Web Lock that the engine holds until it ends. */
  readonly lifeLock: string
}

/** The names of `WorkerApi`'s methods. The page can call nothing else in the worker. */
export const workerMethods = [
  'load',
  'generate',
  'countTokens',
  'unload',
  'readStatus',
] as const satisfies readonly (keyof WorkerApi)[]

/** The cause of an error that ends a generation because another client of the worker waits. The worker itself is well. */
export const turnTaken = 'rivulet-turn-taken'
