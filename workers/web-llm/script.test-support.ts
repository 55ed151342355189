import type { ChatConfig, ChatRequest, InitProgressReport, RawRequest } from './runtime.js'

/** A scripted model: its answers and its failures. */
export interface Script {
  /** The tokens of the next answers: texts or single bytes. The end token follows the last one. */
  answers?: (readonly (string | Uint8Array)[])[]
  /** Generates an answer when `answers` is empty. */
  speak?(sampling: ScriptedSampling): readonly string[]
  /** The step of each answer, from 0, at which the device is lost. */
  lostAt?: number
  /** Called in each step, before the step ends. */
  onStep?(step: number): void | Promise<void>
  /** Called during loading. `false` ends loading without a model, as a swallowed abort does. */
  onReload?(report: (report: InitProgressReport) => void, aborted: Promise<void>): Promise<void | false>
  readonly config?: Partial<ChatConfig>
  /** The tokens of several characters in the vocabulary. Each other character is a token. @default none */
  readonly vocabulary?: readonly string[]
}

/** The request's fields that affect its answer. */
export interface ScriptedSampling {
  readonly temperature?: number
  readonly top_p?: number
  readonly logit_bias?: Readonly<Record<string, number>>
  readonly seed: number
  /** The last message, or the raw text. */
  readonly content: string
  /** False if web-llm wrote an empty thought before the answer. */
  readonly enable_thinking?: boolean
  readonly response_format?: { readonly grammar: string }
}

/** The requests that the engine received, and its state. */
export interface Seen {
  steps: number
  readonly requests: (ChatRequest | RawRequest)[]
  /** The text tokenized for each request. */
  readonly prefilled: string[]
  /** The number of tokens in the KV cache after each prefill. */
  readonly promptTokens: number[]
  overrides: Readonly<Record<string, unknown>> | undefined
  isLocked: boolean
  readonly isLoaded: boolean
  interrupts: number
  /** Does what the engine does when its device is lost. */
  loseDevice(): void
}

/** Creates an error as web-llm does: only its name identifies it. */
export function createNamedError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
