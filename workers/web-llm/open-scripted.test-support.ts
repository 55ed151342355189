import type { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import type { GenerationStep, LoadProgress } from '../../lib/contract/worker-api.js'
import { chatRequest } from '../request.test-support.js'
import type { Script } from './script.test-support.js'
import { createScriptedRuntime, scriptedModel } from './scripted-engine.test-support.js'
import { createWebLlmBackend } from './web-llm-backend.js'

/** The default load options. */
export const options = {
  model: scriptedModel,
  modelRecords: [],
  cache: undefined,
  contextLength: undefined,
}
export const place = {
  model: { kind: 'none' },
  download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
} as const
export const storyRequest = (sampling: Partial<RequestOptions> = {}) =>
  chatRequest('Tell me a story.', { seed: 1, ...sampling })
export const story = ['Once', ' upon', ' a', ' time']

/** Opens a backend on the real engine, with scripted loading and a scripted pipeline. */
export async function open(
  script: Script,
  changes: Partial<typeof options> | { contextLength: number } = {},
) {
  const { importRuntime, seen } = createScriptedRuntime(script)
  const backend = createWebLlmBackend(importRuntime)
  const progress: LoadProgress[] = []
  const losses: RivuletError[] = []
  const abort = new AbortController()
  const loading = backend.load(
    { ...place, options: { ...options, ...changes }, lifeLock: '' },
    {
      onProgress: (report) => progress.push(report),
      onLost: (error) => losses.push(error),
      signal: abort.signal,
    },
  )
  loading.catch(() => {})
  return { backend, seen, progress, losses, abort, loading }
}

export async function openLoaded(script: Script) {
  const opened = await open(script)
  return { ...opened, info: await opened.loading, generate: generate.bind(undefined, opened.backend) }
}

type ScriptedBackend = Awaited<ReturnType<typeof open>>['backend']

export async function generate(
  backend: ScriptedBackend,
  request: GenerateRequest = storyRequest(),
  signal = new AbortController().signal,
) {
  const steps: GenerationStep[] = []
  const generator = backend.generate(request, { signal, queueMs: 5 })
  for (;;) {
    const { done, value } = await generator.next()
    if (done) return { steps, finishReason: value, text: joinText(steps) }
    steps.push(value)
  }
}

export const settle = () => new Promise((resolve) => setTimeout(resolve, 20))
export const joinText = (steps: readonly GenerationStep[]) =>
  steps.map((step) => (step.kind === 'chunk' ? step.text : '')).join('')
export const findCounted = (steps: readonly GenerationStep[]) => steps.find(({ kind }) => kind === 'counted')
