export const llamaCppDevices = ['auto', 'webgpu', 'wasm'] as const
export type LlamaCppDevice = (typeof llamaCppDevices)[number]

/** What the worker is told of `llamaCpp()`'s options. */
export interface LlamaCppLoadOptions {
  /**
   * `auto` takes WebGPU on a real graphics adapter with 16-bit floats, which llama.cpp needs, and WASM elsewhere.
   * `webgpu` is refused where llama.cpp would compute on the CPU all the same.
   * @default 'auto'
   */
  readonly device?: LlamaCppDevice | undefined
  /**
   * Prompt and answer together, in tokens, up to the next 256: its KV cache takes memory whether it is used or not.
   * @default what the model was trained for, up to 4,096
   */
  readonly contextLength?: number | undefined
  /**
   * Threads on the CPU. More than one needs a cross-origin isolated page.
   * @default half of what the processor has, at least 2; 1 where the page is not isolated
   */
  readonly threads?: number | undefined
  /**
   * What weights and KV cache may take, in bytes. A larger model is refused with `memory-exceeded` before it is loaded.
   * @default no limit but WebAssembly's
   */
  readonly memoryBudgetBytes?: number | undefined
  /**
   * Memory for the KV caches of earlier conversations, in bytes, beside the one that is running: one that is taken up
   * again computes only what is new. llama.cpp has no limit for it that fits a page, so where it keeps more the model is
   * opened anew before the next generation, from what is stored; 0 does so for each other conversation.
   * @default 256 MiB
   */
  readonly conversationCacheBytes?: number | undefined
  /**
   * Where `@wllama/wllama/esm/wasm/wllama.wasm` is served, for pages whose bundler does not find it.
   * @default beside the package's own module
   */
  readonly wasmUrl?: string | undefined
}
