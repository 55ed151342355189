// A worker of `webLlm()` with the real engine and a scripted pipeline. A prompt that contains "lose" loses the device during
// its answer.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../expose.js'
import { createHost } from '../host.js'
import { createScriptedRuntime } from './scripted-engine.test-support.js'
import { createWebLlmBackend } from './web-llm-backend.js'

const story = ['Once', ' upon', ' a', ' time']
const stepMs = 5

const { importRuntime, seen } = createScriptedRuntime({
  answers: Array.from({ length: 10 }, () => story),
  async onStep(step) {
    await new Promise((resolve) => setTimeout(resolve, stepMs))
    if (step < 2 || !seen.prefilled.at(-1)?.includes('lose')) return
    seen.loseDevice()
    throw new Error('NDArray has already been disposed')
  },
})

exposeMethods(createHost(createWebLlmBackend(importRuntime)), self as unknown as Endpoint)
