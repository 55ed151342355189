// What the worker of `promptApi()` and its page send to each other: the browser's `LanguageModel` exists only in pages.
import type { RequestMessage } from './request.js'

/** The options of `promptApi()`, as they are sent to the worker and back. */
export interface BrowserModelOptions {
  /** BCP 47 tags; empty if the app names none. */
  readonly languages: readonly string[]
}

/** The first message to the worker: the port over which it asks the page. */
export interface BrowserModelPort {
  readonly kind: 'rivulet-browser-model'
  readonly port: MessagePort
}

/** What the worker asks for. The page answers on `port`, with a stream (`sendStream`). */
export type BrowserModelRequest = { readonly port: MessagePort } & (
  | { readonly kind: 'load'; readonly options: BrowserModelOptions }
  | { readonly kind: 'count'; readonly messages: readonly RequestMessage[] }
  | { readonly kind: 'answer'; readonly prompt: BrowserModelPrompt }
)

/** A prompt for the browser's model. */
export interface BrowserModelPrompt {
  /** Not empty. */
  readonly messages: readonly RequestMessage[]
  /** The start of the answer, which the model continues; empty for a new answer. */
  readonly assistantPrefix: string
  /** A JSON schema, or the source of a RegExp. */
  readonly constraint: object | string | undefined
}

/** While a model is loaded: the part that is done, from 0 to 1; at the end, its context window in tokens. */
export type BrowserModelLoad =
  | { readonly kind: 'progress'; readonly fraction: number }
  | { readonly kind: 'ready'; readonly contextWindow: number }

/** What an answer sends: first the size of its prompt, then its texts. */
export type BrowserModelAnswer =
  | { readonly kind: 'started'; readonly promptTokens: number | undefined }
  | { readonly kind: 'text'; readonly text: string }
