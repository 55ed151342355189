// A stand-in for a runtime, with the library's own host. Each step generates one word of the prompt, without a delay.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../../dist/workers/expose.js'
import { createHost } from '../../dist/workers/host.js'

const seen = { steps: 0, mostStepsAfterCancel: 0 }
const tasks = new MessageChannel()

/** Waits for a new task, like a real step, so that a cancel can arrive. Timers would wait four milliseconds. */
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
        warnings: [],
        contextLength: 1000,
        supports: {
          inputs: ['text'],
          roles: [],
          options: [],
          formats: [],
          reasoning: [],
          continuation: true,
          seededContinuation: true,
          concurrency: 1,
          tokenCounting: true,
          prefill: true,
          keptPrefixes: false,
        },
      }
    },
    async *generate({ input, resume }, { signal, queueMs }) {
      const words = input.kind === 'text' ? input.text.split(/(?= )/) : []
      // Ignores its signal: the host has to end it.
      let stepsAfterCancel = 0
      // A test extends the prefill by holding this lock.
      await navigator.locks.request('scripted prefill', () => {})
      yield { kind: 'started', promptTokens: words.length, cachedPromptTokens: 0, queueMs, prefillMs: 1 }
      for (const [index, text] of words.entries()) {
        if (index < (resume?.generated.tokens ?? 0)) continue
        await runTask()
        seen.steps += 1
        if (signal.aborted) stepsAfterCancel += 1
        seen.mostStepsAfterCancel = Math.max(seen.mostStepsAfterCancel, stepsAfterCancel)
        if (text === ' fail') throw new Error('the runtime broke')
        yield { kind: 'chunk', text, tokenIds: [index], tokenCount: 1 }
      }
      return 'stop'
    },
    tokenCounter: {
      needsTurn: false,
      count: async ({ input }) => (input.kind === 'text' ? input.text.split(/(?= )/).length : 0),
    },
    async unload() {},
  }),
  // This folder is compiled with a page's types.
  self as unknown as Endpoint,
)

const channel = new BroadcastChannel(self.name)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no target
channel.onmessage = () => channel.postMessage(seen)
