export const llamaCppDevices = ['auto', 'webgpu', 'wasm'] as const
export type LlamaCppDevice = (typeof llamaCppDevices)[number]

/** The files of llama.cpp's compatibility build, as the worker loads them. */
export interface LlamaCppCompatFiles {
  readonly script: string
  readonly wasm: string
}

/** The options of `llamaCpp()` that are sent to the worker. */
export interface LlamaCppLoadOptions {
  /**
   * The device to compute on. `auto` uses WebGPU on a real graphics adapter with 16-bit floats (`shader-f16`), which
   * llama.cpp needs, in a browser with JSPI or on the compatibility build, and WASM otherwise. `webgpu` is refused with `backend-unavailable` where
   * llama.cpp would compute on the CPU instead.
   * @default 'auto'
   */
  readonly device?: LlamaCppDevice | undefined
  /**
   * Maximum length of prompt and answer together, in tokens; rounded up to a multiple of 256. The whole KV cache is
   * allocated when the model is loaded.
   * @default the context length that the model was trained with, up to 4,096
   */
  readonly contextLength?: number | undefined
  /**
   * The number of generations that can run at the same time, from 1 to 16: llama.cpp's slots. More of them wait in the engine's
   * queue. Each slot has a context of `contextLength` tokens, whose memory is allocated when the model is loaded.
   *
   * llama.cpp computes a token of every running answer each time it returns a token of one of them. So it is ahead of its readers
   * while several answers run, and an answer that nobody reads is computed further, up to its `maxTokens`, as long as others are
   * read.
   * @default 1
   */
  readonly maxConcurrentGenerations?: number | undefined
  /**
   * The texts of further tokens that end an answer, such as `['<|im_end|>']`. They end it in addition to the tokens that
   * llama.cpp knows and the token that the chat template writes after an answer. A text that is not a control token or a
   * user-defined token of the model is refused with `invalid-option`.
   * @default none
   */
  readonly endTokens?: readonly string[] | undefined
  /**
   * The model's chat template: Jinja source, or the name of one of the templates in the model's files, such as `rag`.
   * @default the template in the model's files
   */
  readonly chatTemplate?: string | undefined
  /**
   * Number of CPU threads. More than one needs a cross-origin isolated page.
   * @default half of the logical processors, at least 2; 1 on a page that is not isolated
   */
  readonly threads?: number | undefined
  /**
   * Limit for the weights and the KV cache together, in bytes. A larger model is refused with `memory-exceeded` before it
   * is loaded.
   * @default 1.5 times `navigator.deviceMemory`, which is rounded, in browsers that report less than 8 GiB; otherwise no limit.
   * On the CPU at most the 4 GiB of WebAssembly
   */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * Memory for the KV caches of earlier conversations, in bytes, in addition to the cache of the current one. When a chat
   * is continued, only its new tokens are computed. llama.cpp accepts no limit this low. When its caches exceed the limit,
   * the model is therefore reopened from the stored file before the next generation. With 0, this happens each time the
   * conversation changes.
   * @default 256 MiB
   */
  readonly conversationCacheBytes?: number | undefined
  /**
   * URL of `@wllama/wllama/esm/wasm/wllama.wasm`, for bundlers that do not find this file.
   * @default the file next to wllama's own module
   */
  readonly wasmUrl?: string | undefined
  /**
   * llama.cpp's compatibility build, for browsers whose WebAssembly has no memories with 64-bit addresses (memory64), such
   * as Safari. It is only downloaded there, and is slower than the other build.
   * @default none: `llamaCpp()` is unavailable in such browsers
   */
  readonly compat?: LlamaCppCompatFiles | undefined
}
