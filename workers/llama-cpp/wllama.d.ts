/**
 * Declares the used part of wllama 3.13.0. wllama has no types for `index.min.js`, and its own types would pull Node's types
 * into the worker.
 */
declare module '@wllama/wllama/esm/index.min.js' {
  export class Wllama {
    constructor(
      paths: { readonly default: string },
      options: {
        readonly logger: Readonly<Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>>
        /** wllama's own store of models. */
        readonly cacheManager: object
        readonly modelManager: object
      },
    )
    /**
     * Sets the build for browsers that cannot run the default one; null for none. It is used if JSPI or 64-bit memories are
     * missing; with `safari`, not in Firefox.
     */
    setCompat(
      build: { readonly worker: { readonly code: string }; readonly wasm: string } | null,
      mode: 'safari' | 'firefox_safari',
    ): void
    loadModel(files: readonly Blob[], parameters: Readonly<Record<string, unknown>>): Promise<void>
    createCompletion(options: Readonly<Record<string, unknown>>): Promise<void>
    /** `success` is an undocumented field of 3.13.0: false if `loadModel` resolved without a model. */
    getLoadedContextInfo(): { readonly n_ctx: number; readonly success?: boolean }
    isMultithread(): boolean
    getNumThreads(): number
    exit(): Promise<void>
    /** Private in wllama. Undefined before a model is loaded. */
    readonly proxy?: {
      /** `req_id` is the number of a completion. `has_more` is false in its last result. */
      wllamaAction(
        name: string,
        body: { readonly req_id?: number },
      ): Promise<{ readonly req_id?: number; readonly has_more?: boolean }>
    }
  }
}
