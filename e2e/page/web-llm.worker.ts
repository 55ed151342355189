// webLlm()'s worker with web-llm's real engine around a scripted pipeline: its compiled model libraries cannot be had here.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../../dist/workers/expose.js'
import { createHost } from '../../dist/workers/host.js'
import { createWebLlmBackend } from '../../dist/workers/web-llm/web-llm-backend.js'
import type { ScriptedSampling } from '../../workers/web-llm/script.test-support.js'
import { createScriptedRuntime } from '../../workers/web-llm/scripted-engine.test-support.js'

const words = ['Once', ' upon', ' a', ' time', ' there', ' was', ' a', ' dragon', '.']
const stepMs = 2

/** Greedy, the words in their order; else in one that the seed decides. A token with the highest bias is all it says. */
function speak({ temperature = 1, top_p = 1, logit_bias, seed }: ScriptedSampling): readonly string[] {
  if (Object.values(logit_bias ?? {}).includes(100)) return words.map(() => ' upon')
  if (temperature === 0 || top_p < 0.01) return words
  return words.map((_, index) => words[(index * (seed + 3)) % words.length]!)
}

const { importRuntime } = createScriptedRuntime({
  speak,
  config: { context_window_size: 4096 },
  onStep: () => new Promise((resolve) => setTimeout(resolve, stepMs)),
})

exposeMethods(
  createHost(createWebLlmBackend(importRuntime)),
  // This folder's types are a page's.
  self as unknown as Endpoint,
)
