// The bare page: hands the library, as an app imports it, to the tests' `page.evaluate`.
import * as rivulet from 'rivulet'
import { onnx } from 'rivulet/onnx'
import type { WorkerFault } from './faulty.worker.js'

const library = { ...rivulet, onnx }

const faultyWorkers: { readonly worker: Worker; readonly name: string }[] = []

/** For `onnx({ worker })`: a worker that can be broken. */
function createFaultyWorker(): Worker {
  const name = `faulty ${crypto.randomUUID()}`
  const worker = new Worker(new URL('./faulty.worker.ts', import.meta.url), { type: 'module', name })
  faultyWorkers.push({ worker, name })
  return worker
}

/** Breaks the newest of these workers; `terminate` is done from here, behind the library's back. */
function breakWorker(fault: WorkerFault | 'terminate'): void {
  const { worker, name } = faultyWorkers.at(-1)!
  if (fault === 'terminate') return worker.terminate()
  const channel = new BroadcastChannel(name)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
  channel.postMessage(fault)
  channel.close()
}

const scriptedName = 'scripted'

/** An engine over a runtime that says the prompt's words. */
function createScriptedEngine(): Promise<rivulet.Engine> {
  return rivulet.createEngine({
    model: './models/none/',
    backend: {
      name: scriptedName,
      options: {},
      checkAvailability: () => Promise.resolve({ isAvailable: true }),
      createWorker: () =>
        new Worker(new URL('./scripted.worker.ts', import.meta.url), { type: 'module', name: scriptedName }),
    },
  })
}

/** What the scripted runtime has done. */
async function readScripted(): Promise<{ readonly steps: number; readonly mostStepsBehindCancel: number }> {
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

declare global {
  interface Window {
    rivulet: typeof library
    createFaultyWorker: typeof createFaultyWorker
    breakWorker: typeof breakWorker
    createScriptedEngine: typeof createScriptedEngine
    readScripted: typeof readScripted
  }
}

Object.assign(window, {
  rivulet: library,
  createFaultyWorker,
  breakWorker,
  createScriptedEngine,
  readScripted,
})
