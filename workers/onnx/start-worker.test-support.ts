// Runs in a worker: starts ONNX Runtime, and runs a model. Both arrive as a message.
import { startOnnxRuntime } from './start-runtime.js'

/** What the worker does. */
export interface StartOrder {
  readonly model: Uint8Array<ArrayBuffer>
  /** What the browser's HTTP cache has in place of ONNX Runtime's WebAssembly; undefined to ask the browser. */
  readonly cached: Uint8Array<ArrayBuffer> | undefined
}

/** What the worker replies. */
export interface StartReply {
  /** How often ONNX Runtime has computed its start. */
  readonly starts: number
  readonly output: readonly number[]
  /** How often the content that the HTTP cache has was taken from it. */
  readonly cacheReads: number
}

let starts = 0
const { instantiate } = WebAssembly
Object.assign(WebAssembly, {
  async instantiate(...parameters: [WebAssembly.Module, WebAssembly.Imports]) {
    const { exports } = await instantiate(...parameters)
    const start = exports.OrtInit as (...args: number[]) => number
    const countStart = (...args: number[]) => {
      starts += 1
      return start(...args)
    }
    return { exports: { ...exports, OrtInit: countStart } }
  },
})

// An error of a promise would not reach the page's `onerror`.
self.onunhandledrejection = ({ reason }) => reportError(reason)

let cacheReads = 0

/** Stands in for an HTTP cache that has this content. */
function fillHttpCache(content: Uint8Array<ArrayBuffer>): void {
  const { fetch } = self
  const timings: object[] = []
  performance.getEntriesByName = () => [...timings] as PerformanceEntryList
  self.fetch = async (input, init = {}) => {
    const headers = { 'content-type': 'application/wasm' }
    if (init.method === 'HEAD') {
      timings.push({ transferSize: 0 })
      return new Response(undefined, { headers })
    }
    if (init.cache !== 'only-if-cached') return fetch(input, init)
    cacheReads += 1
    return new Response(content, { headers })
  }
}

self.onmessage = async ({ data: { model, cached } }: MessageEvent<StartOrder>) => {
  if (cached) fillHttpCache(cached)
  const runtime = await startOnnxRuntime('webgpu', undefined, {
    progress: { stored() {}, moved() {} },
    idleTimeoutMs: 60_000,
    signal: new AbortController().signal,
  })
  const session = await runtime.InferenceSession.create(model, { executionProviders: ['wasm'] })
  const x = new runtime.Tensor('float32', Float32Array.of(1, 2, 3))
  const { y } = await session.run({ x })
  const reply: StartReply = { starts, output: [...(y!.data as Float32Array)], cacheReads }
  self.postMessage(reply, { transfer: [] })
}
