/**
 * A grammar engine of `onnx()`, which holds the answers of a request in the form of `responseFormat`. It has its own worker, so
 * that apps without the engine need not install its package.
 */
export interface GrammarEngine {
  readonly name: string
  /** Creates a worker for `onnx()` that has the engine. */
  readonly createWorker: () => Worker
}

/**
 * Holds answers in the form of `responseFormat` with XGrammar (an optional peer dependency: install `@mlc-ai/web-xgrammar`).
 * The worker loads the package with the first request that has a form: `onnx({ grammar: xgrammar() })`.
 */
export function xgrammar(): GrammarEngine {
  return {
    name: 'xgrammar',
    createWorker: () =>
      new Worker(new URL('../workers/onnx-xgrammar.worker.js', import.meta.url), {
        type: 'module',
        name: 'rivulet-onnx',
      }),
  }
}
