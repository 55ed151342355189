import type { ModelSupport } from './worker-api.js'

/**
 * The kinds of servers whose fields differ from the ones of OpenAI's and vLLM's servers. `workers/remote/server-kinds.ts` says
 * how.
 */
export type ServerKind = 'llama-cpp' | 'llama-cpp-python' | 'ollama' | 'openai' | 'sglang' | 'vllm'

export const serverKinds = [
  'llama-cpp',
  'llama-cpp-python',
  'ollama',
  'openai',
  'sglang',
  'vllm',
] as const satisfies readonly ServerKind[]

/** What a server supports beyond text. */
export interface RemoteSupport {
  /** The forms of an answer that `responseFormat` can demand. @default those of the kind of server */
  readonly formats?: ModelSupport['formats'] | undefined
  /** True if the server takes `tools`, `toolChoice` and `parallelToolCalls`. @default what the kind of server does */
  readonly tools?: boolean | undefined
  /** What `reasoning` can demand. @default what the kind of server can */
  readonly reasoning?: ModelSupport['reasoning'] | undefined
}

/** The options of `remote()`, as they are passed to the worker. */
export interface RemoteLoadOptions {
  /** The absolute URL of the API, with a trailing slash. */
  readonly baseUrl: string
  readonly model: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly canContinue: boolean
  /** Undefined if the list of models shall tell the kind. */
  readonly server: ServerKind | undefined
  readonly supports: RemoteSupport
  readonly skipModelList: boolean
  readonly allowMissingFinishReason: boolean
  readonly extraBody: Readonly<Record<string, unknown>>
}
