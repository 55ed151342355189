// The bare page imports the library as an app does, and exposes it to the tests' `page.evaluate`.
import * as rivulet from 'rivulet'
import { languageModel } from 'rivulet/ai-sdk'
import { createChat } from 'rivulet/chat'
import { grpcWeb } from 'rivulet/grpc-web'
import { llamaCpp } from 'rivulet/llama-cpp'
import { llamaCppCompat } from 'rivulet/llama-cpp-compat'
import { onnx } from 'rivulet/onnx'
import { openaiFetch } from 'rivulet/openai'
import { recordGenerations } from 'rivulet/opentelemetry'
import { createLanguageModel } from 'rivulet/prompt-api'
import { promptApi } from 'rivulet/prompt-api-backend'
import { remote } from 'rivulet/remote'
import { responses } from 'rivulet/responses'
import { routing } from 'rivulet/routing'
import { serveOpenai } from 'rivulet/serve-openai'
import { webLlm } from 'rivulet/web-llm'
import { xgrammar } from 'rivulet/xgrammar'
import type * as clients from './clients.js'
import type { WorkerFault } from './faulty.worker.js'
import type { fileless, handleless } from './fileless.js'
import { readSlowly } from './read-slowly.js'
import { removeStreamIteration } from './without-stream-iteration.js'
import type { StoreAnswer, StoreRequest } from './store.worker.js'

const library = {
  ...rivulet,
  createChat,
  createLanguageModel,
  grpcWeb,
  languageModel,
  llamaCpp,
  llamaCppCompat,
  onnx,
  openaiFetch,
  promptApi,
  recordGenerations,
  remote,
  responses,
  routing,
  serveOpenai,
  webLlm,
  xgrammar,
}

/** The running workers into which a test can inject faults. */
const faultyWorkers: { readonly worker: Worker; readonly name: string }[] = []

function addFaultyWorker(worker: Worker, name: string): Worker {
  const added = { worker, name }
  faultyWorkers.push(added)
  worker.terminate = () => {
    const index = faultyWorkers.indexOf(added)
    if (index !== -1) faultyWorkers.splice(index, 1)
    Worker.prototype.terminate.call(worker)
  }
  return worker
}

/** For `onnx({ worker })`: a worker in which a test can inject faults. */
function createFaultyWorker(kind = 'faulty'): Worker {
  const name = `${kind} ${crypto.randomUUID()}`
  const worker = new Worker(new URL('./faulty.worker.ts', import.meta.url), { type: 'module', name })
  return addFaultyWorker(worker, name)
}

/**
 * For `llamaCpp({ worker })`: a worker that a test can terminate.
 * @param kind can name features that the worker's browser lacks (`old-browser.ts`)
 */
function createLlamaCppWorker(kind = 'llama-cpp'): Worker {
  const name = `${kind} ${crypto.randomUUID()}`
  const worker = new Worker(new URL('./llama-cpp.worker.ts', import.meta.url), { type: 'module', name })
  return addFaultyWorker(worker, name)
}

/** For `remote({ worker })` with `grpcWeb()`: a worker that a test can terminate. */
function createGrpcWebWorker(): Worker {
  const worker = new Worker(new URL('./grpc-web.worker.ts', import.meta.url), { type: 'module' })
  return addFaultyWorker(worker, '')
}

/** For `promptApi({ worker })`: a worker that a test can terminate. */
function createPromptApiWorker(): Worker {
  const worker = new Worker(new URL('./prompt-api.worker.ts', import.meta.url), { type: 'module' })
  return addFaultyWorker(worker, '')
}

let hasLanguageModel = false

/**
 * Gives the page a browser's own model, once: this library's class over the embedded model. It always takes the most likely tokens,
 * because `promptApi()` has no say in the sampling.
 */
function installLanguageModel(): void {
  if (hasLanguageModel) return
  hasLanguageModel = true
  const backend = onnx({ device: 'wasm', grammar: xgrammar() })
  const model = createLanguageModel({ backend, model: './models/stories/' })
  const create: typeof model.create = (options) =>
    model.create({ ...options, samplingMode: 'most-predictable' })
  const LanguageModel = { availability: model.availability.bind(model), create }
  Object.defineProperty(globalThis, 'LanguageModel', { value: LanguageModel, configurable: true })
}

/** For `webLlm({ worker })`: a worker with a scripted engine. */
function createWebLlmWorker(): Worker {
  return new Worker(new URL('./web-llm.worker.ts', import.meta.url), { type: 'module' })
}

/** For `onnx({ worker })`: a worker without a file system that works, as in private windows of some browsers. */
const createFilelessWorker = (kind: typeof fileless | typeof handleless) => createFaultyWorker(kind)

/** Injects a fault into the newest of these workers. `terminate` happens here, without the library's knowledge. */
function breakWorker(fault: WorkerFault | 'terminate'): void {
  const { worker, name } = faultyWorkers.at(-1)!
  if (fault === 'terminate') return worker.terminate()
  const channel = new BroadcastChannel(name)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
  channel.postMessage(fault)
  channel.close()
}

const scriptedName = 'scripted'

/** Creates an engine with a scripted runtime, which generates the prompt's words. */
function createScriptedEngine(): Promise<rivulet.Engine> {
  return rivulet.createEngine({
    model: './models/none/',
    backend: {
      name: scriptedName,
      options: {},
      model: { kind: 'engine' },
      checkAvailability: () => Promise.resolve({ isAvailable: true }),
      createWorker: () =>
        new Worker(new URL('./scripted.worker.ts', import.meta.url), { type: 'module', name: scriptedName }),
    },
  })
}

/** Reads what the scripted runtime has counted. */
async function readScripted(): Promise<{ readonly steps: number; readonly mostStepsAfterCancel: number }> {
  const channel = new BroadcastChannel(scriptedName)
  try {
    return await new Promise((resolve) => {
      channel.onmessage = ({ data }: MessageEvent) => resolve(data)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
      channel.postMessage('read')
    })
  } finally {
    channel.close()
  }
}

/** The outcome of storing a file, and its progress events. */
export interface Stored {
  readonly answer: Exclude<StoreAnswer, { kind: 'progress' }>
  readonly loadedBytes: readonly number[]
}

/** Downloads a file to the store, in a new worker that is terminated afterwards. */
function storeFile(request: StoreRequest): Promise<Stored> {
  const worker = new Worker(new URL('./store.worker.ts', import.meta.url), { type: 'module' })
  const loadedBytes: number[] = []
  return new Promise((resolve, reject) => {
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.onmessage = ({ data }: MessageEvent<StoreAnswer>) => {
      if (data.kind === 'progress') return void loadedBytes.push(data.loadedBytes)
      worker.terminate()
      resolve({ answer: data, loadedBytes })
    }
    worker.postMessage(request, [])
  })
}

type Clients = typeof clients

declare global {
  interface Window extends Clients {
    rivulet: typeof library
    createFaultyWorker: typeof createFaultyWorker
    removeStreamIteration: typeof removeStreamIteration
    createFilelessWorker: typeof createFilelessWorker
    createGrpcWebWorker: typeof createGrpcWebWorker
    createPromptApiWorker: typeof createPromptApiWorker
    installLanguageModel: typeof installLanguageModel
    createLlamaCppWorker: typeof createLlamaCppWorker
    createWebLlmWorker: () => Worker
    breakWorker: typeof breakWorker
    createScriptedEngine: typeof createScriptedEngine
    readScripted: typeof readScripted
    readSlowly: typeof readSlowly
    storeFile: typeof storeFile
  }
}

// A megabyte of other libraries' clients, only for the tests that need them.
if (location.search === '?clients') Object.assign(window, await import('./clients.js'))

Object.assign(window, {
  rivulet: library,
  createFaultyWorker,
  removeStreamIteration,
  createFilelessWorker,
  createGrpcWebWorker,
  createPromptApiWorker,
  installLanguageModel,
  createLlamaCppWorker,
  createWebLlmWorker,
  breakWorker,
  createScriptedEngine,
  readScripted,
  readSlowly,
  storeFile,
})
