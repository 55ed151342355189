// Stands in for a runtime, behind the library's own host: says the prompt's words, one a step, as fast as it is asked.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../../dist/workers/expose.js'
import { createHost } from '../../dist/workers/host.js'

const seen = { steps: 0, mostStepsBehindCancel: 0 }
const tasks = new MessageChannel()

/** A task of its own, as a real step is: cancels are heard in between. Timers would wait four milliseconds. */
function runTask(): Promise<unknown> {
  return new Promise((resolve) => {
    tasks.port1.onmessage = resolve
    tasks.port2.postMessage('next')
  })
}

exposeMethods(
  createHost({
    stepsInFlight: 0,
    async load({ model }) {
      return {
        model: 'url' in model ? model.url : 'scripted',
        backend: 'scripted',
        device: 'wasm',
        deviceDescription: 'none',
        dtype: 'none',
        execution: 'growing-cache',
        contextLength: 1000,
        supports: {
          inputs: ['text'],
          roles: [],
          options: [],
          continuation: true,
          seededContinuation: true,
          concurrency: 1,
        },
      }
    },
    async *generate({ input, resume }, { signal, queueMs }) {
      const words = input.kind === 'text' ? input.text.split(/(?= )/) : []
      // Does not look at its signal: what ends it is the host.
      let stepsBehindCancel = 0
      // Whoever holds this lock has the prefill take as long.
      await navigator.locks.request('scripted prefill', () => {})
      yield { kind: 'started', promptTokens: words.length, cachedPromptTokens: 0, queueMs, prefillMs: 1 }
      for (const [index, text] of words.entries()) {
        if (index < (resume?.generated.tokens ?? 0)) continue
        await runTask()
        seen.steps += 1
        if (signal.aborted) stepsBehindCancel += 1
        seen.mostStepsBehindCancel = Math.max(seen.mostStepsBehindCancel, stepsBehindCancel)
        if (text === ' fail') throw new Error('the runtime broke')
        yield { kind: 'chunk', text, tokenIds: [index], tokenCount: 1 }
      }
      return 'stop'
    },
    async unload() {},
  }),
  // This folder's types are a page's.
  self as unknown as Endpoint,
)

const channel = new BroadcastChannel(self.name)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
channel.onmessage = () => channel.postMessage(seen)
