import type { ChatConfig, ChatRequest, InitProgressReport, RawRequest } from './runtime.js'

/** What a model says, and what befalls it. */
export interface Script {
  /** The next answers' tokens: texts, or single bytes. Behind the last comes the end token. */
  answers?: (readonly (string | Uint8Array)[])[]
  /** What is said where `answers` has run out. */
  speak?(sampling: ScriptedSampling): readonly string[]
  /** Of each answer: the step, from 0, at which the device is lost. */
  lostAt?: number
  /** Called in each step, before it ends. */
  onStep?(step: number): void | Promise<void>
  /** Called while the model is loaded. `false` ends that without a model, as a swallowed abort does. */
  onReload?(report: (report: InitProgressReport) => void, aborted: Promise<void>): Promise<void | false>
  readonly config?: Partial<ChatConfig>
}

/** What of a request decides over its answer. */
export interface ScriptedSampling {
  readonly temperature?: number
  readonly top_p?: number
  readonly logit_bias?: Readonly<Record<string, number>>
  readonly seed: number
}

/** What the engine was asked for, and where it stands. */
export interface Seen {
  steps: number
  readonly requests: (ChatRequest | RawRequest)[]
  /** What was tokenised for each request. */
  readonly prefilled: string[]
  /** In the KV cache, when a prompt has been computed. */
  readonly promptTokens: number[]
  overrides: Readonly<Record<string, unknown>> | undefined
  isLocked: boolean
  readonly isLoaded: boolean
  interrupts: number
  /** What the engine does when its device is lost. */
  loseDevice(): void
}

/** An error as web-llm makes them: told by its name alone. */
export function createNamedError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
