// webLlm()'s worker with web-llm's real engine and a scripted pipeline: the tests cannot download model libraries.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../../dist/workers/expose.js'
import { createHost } from '../../dist/workers/host.js'
import { createWebLlmBackend } from '../../dist/workers/web-llm/web-llm-backend.js'
import type { ScriptedSampling } from '../../workers/web-llm/script.test-support.js'
import { createScriptedRuntime } from '../../workers/web-llm/scripted-engine.test-support.js'

const words = ['Once', ' upon', ' a', ' time', ' there', ' was', ' a', ' dragon', '.']
const stepMs = 2

/** What the model reasons about a question with the word "Think". */
const thought = ['<think>', '\n', 'A', ' dragon', '.', '\n', '</think>', '\n\n']
/** What the contract's schema allows. web-llm holds a form in the pipeline, which is scripted here. */
const value = ['{"animal": ', '"dragon"', ', "age": ', '7', '}']

/** Greedy: the words in order. Otherwise the seed decides the order. A token with the highest bias replaces them all. */
function speak(sampling: ScriptedSampling): readonly string[] {
  const { temperature = 1, top_p = 1, logit_bias, seed, content } = sampling
  if (sampling.response_format) return value
  if (content.includes('Think')) return sampling.enable_thinking === false ? words : [...thought, ...words]
  if (Object.values(logit_bias ?? {}).includes(100)) return words.map(() => ' upon')
  if (temperature === 0 || top_p < 0.01) return words
  return words.map((_, index) => words[(index * (seed + 3)) % words.length]!)
}

const { importRuntime } = createScriptedRuntime({
  speak,
  config: { context_window_size: 4096 },
  vocabulary: ['<think>', '</think>'],
  onStep: () => new Promise((resolve) => setTimeout(resolve, stepMs)),
})

exposeMethods(
  createHost(createWebLlmBackend(importRuntime)),
  // This folder is compiled with a page's types.
  self as unknown as Endpoint,
)
