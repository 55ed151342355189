/** What is used of wllama 3.8.1. The types beside its modules bring Node's into a worker; this module has none. */
declare module '@wllama/wllama/esm/index.min.js' {
  export class Wllama {
    constructor(
      paths: { readonly default: string },
      options: {
        readonly logger: Readonly<Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>>
      },
    )
    loadModel(files: readonly Blob[], parameters: Readonly<Record<string, unknown>>): Promise<void>
    createCompletion(options: Readonly<Record<string, unknown>>): Promise<void>
    /** `success` is in what 3.8.1 keeps, and false where `loadModel` resolved without a model. */
    getLoadedContextInfo(): { readonly n_ctx: number; readonly success?: boolean }
    isMultithread(): boolean
    getNumThreads(): number
    exit(): Promise<void>
    /** Private to wllama. Undefined before a model is loaded. */
    readonly proxy?: { wllamaAction(name: string, body: unknown): Promise<unknown> }
  }
}
