// Runs the model store and its baselines: a plain fetch and the Cache API.
import { createOnnxBackend } from '../../../dist/workers/onnx/onnx-backend.js'
import { readModelConfig } from '../../../dist/workers/onnx/model-config.js'
import { readModelWeights } from '../../../dist/workers/onnx/model-weights.js'
import { openDecoder } from '../../../dist/workers/onnx/open-decoder.js'
import { loadOnnxRuntime } from '../../../dist/workers/onnx/session.js'
import type { ModelFolder } from '../../../dist/workers/store/model-folder.js'
import { openBytes } from '../../../dist/workers/store/readable-file.js'
import { openRemoteFiles } from '../../../dist/workers/store/remote-files.js'
import type { PacedFile } from './plan.js'
import type { BenchModel } from './subject.js'

export type StoreCall =
  | { readonly method: 'store' | 'fetch'; readonly file: PacedFile }
  | { readonly method: 'openStored' | 'openCached' | 'fillCache'; readonly model: BenchModel }

/** The duration in milliseconds, or the reason of the failure. */
export type StoreReply = { readonly ms: number } | { readonly failure: string }

const cacheName = 'bench'
const { signal } = new AbortController()
const download = { headers: {}, sha256: {}, revalidate: false, idleTimeoutMs: 30_000 }
const limits = { contextLength: 2048, conversationCacheBytes: 0, onSession() {} }

const methods: Record<StoreCall['method'], (call: never) => Promise<unknown>> = {
  async store({ file: { url, path, sha256 } }: { file: PacedFile }) {
    const options = { ...download, sha256: { [path]: sha256 } }
    const onProgress = { stored() {}, moved() {} }
    const files = await openRemoteFiles({ kind: 'folder', url }, options, { onProgress, signal })
    await (await files.read(path))?.arrayBuffer()
    files.close()
  },
  fetch: async ({ file: { url, path } }: { file: PacedFile }) => (await fetch(url + path)).arrayBuffer(),
  async openStored({ model: { url, dtype } }: { model: BenchModel }) {
    const model = { kind: 'folder', url } as const
    const options = { device: 'wasm', dtype } as const
    const context = { onProgress() {}, onLost() {}, signal }
    await createOnnxBackend().load({ model, download, options, lifeLock: '' }, context)
  },
  async openCached({ model }: { model: BenchModel }) {
    const folder = openCacheFolder(model.url)
    const [{ cacheSizes }, weights, runtime] = await Promise.all([
      readModelConfig(folder),
      readModelWeights(folder, { dtypes: [model.dtype], unsupported: [] }, () => {}),
      loadOnnxRuntime('wasm'),
    ])
    await openDecoder(runtime, 'wasm', weights, { ...limits, cacheSizes })
  },
  async fillCache({ model }: { model: BenchModel }) {
    const folder = openCacheFolder(model.url, true)
    await Promise.all([
      readModelConfig(folder),
      readModelWeights(folder, { dtypes: [model.dtype], unsupported: [] }, () => {}),
    ])
  },
}

/** A model folder in the Cache API, as an app without a model store would keep it. */
function openCacheFolder(folderUrl: string, isFilling = false): ModelFolder {
  async function find(path: string): Promise<Response | undefined> {
    const cache = await caches.open(cacheName)
    const url = folderUrl + path
    if (isFilling) {
      const response = await fetch(url)
      if (response.ok) await cache.put(url, response)
    }
    return cache.match(url)
  }
  const readText = async (path: string) => (await find(path))?.text()
  return {
    url: folderUrl,
    readText,
    has: async (path) => (await find(path)) !== undefined,
    async openFile(path) {
      const response = await find(path)
      return response && openBytes(new Uint8Array(await response.arrayBuffer()))
    },
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>)
    },
  }
}

self.onmessage = async ({ data }: MessageEvent<StoreCall>) => {
  const post = (reply: StoreReply) => self.postMessage(reply, {})
  const startMs = performance.now()
  try {
    await methods[data.method](data as never)
    post({ ms: performance.now() - startMs })
  } catch (error) {
    post({ failure: String(error) })
  }
}
