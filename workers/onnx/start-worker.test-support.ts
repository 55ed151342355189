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
  /** True if other WebAssembly that was loaded during the start is left alone. */
  readonly isOtherLeft: boolean
  /** How often the content that the HTTP cache has was taken from it. */
  readonly cacheReads: number
}

let starts = 0
const { instantiate } = WebAssembly
Object.assign(WebAssembly, {
  async instantiate(...parameters: [WebAssembly.Module, WebAssembly.Imports]) {
    const instance = await instantiate(...parameters)
    const { exports } = instance
    const start = exports.OrtInit as ((...args: number[]) => number) | undefined
    if (!start) return instance
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

/** Loads a module that exports a memory, once ONNX Runtime's start has replaced the functions for that. */
async function loadOther(): Promise<boolean> {
  const { instantiateStreaming } = WebAssembly
  while (WebAssembly.instantiateStreaming === instantiateStreaming)
    await new Promise((resolve) => setTimeout(resolve, 1))
  const header = [0, 97, 115, 109, 1, 0, 0, 0]
  // A memory of one page, and its export as "m".
  const bytes = Uint8Array.of(...header, 5, 3, 1, 0, 1, 7, 5, 1, 1, 109, 2, 0)
  const { instance } = await WebAssembly.instantiate(bytes)
  return instance instanceof WebAssembly.Instance && instance.exports.m instanceof WebAssembly.Memory
}

self.onmessage = async ({ data: { model, cached } }: MessageEvent<StartOrder>) => {
  if (cached) fillHttpCache(cached)
  const starting = startOnnxRuntime('webgpu', undefined, {
    progress: { stored() {}, moved() {} },
    idleTimeoutMs: 60_000,
    signal: new AbortController().signal,
  })
  const isOtherLeft = await loadOther()
  const runtime = await starting
  const session = await runtime.InferenceSession.create(model, { executionProviders: ['wasm'] })
  const x = new runtime.Tensor('float32', Float32Array.of(1, 2, 3))
  const { y } = await session.run({ x })
  const reply: StartReply = { starts, output: [...(y!.data as Float32Array)], isOtherLeft, cacheReads }
  self.postMessage(reply, { transfer: [] })
}
