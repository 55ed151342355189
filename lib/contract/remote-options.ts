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
  readonly skipModelList: boolean
  readonly allowMissingFinishReason: boolean
  readonly extraBody: Readonly<Record<string, unknown>>
}
