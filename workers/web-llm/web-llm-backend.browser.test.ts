// With a real GPU adapter and real devices.
import { describe, expect, it } from 'vitest'
import { createHost } from '../host.js'
import {
  open,
  openLoaded,
  options,
  place,
  settle,
  story,
  storyRequest,
} from './open-scripted.test-support.js'
import { createNamedError } from './script.test-support.js'
import { createScriptedRuntime, scriptedModel } from './scripted-engine.test-support.js'
import { createWebLlmBackend } from './web-llm-backend.js'

it('after a refused request, the next one runs (real engine, scripted pipeline)', async () => {
  const { importRuntime } = createScriptedRuntime({ answers: [story] })
  const host = createHost(createWebLlmBackend(importRuntime))
  const loading = host.load({ ...place, options, lifeLock: crypto.randomUUID() }).getReader()
  for (let read = await loading.read(); read.value?.kind !== 'ready';) read = await loading.read()
  const refused = host.generate(storyRequest({ logitBias: { 1000: 1 } })).getReader()
  await expect(refused.read()).rejects.toMatchObject({ code: 'invalid-option' })
  const next = host.generate(storyRequest()).getReader()
  expect(await next.read()).toMatchObject({ value: { kind: 'started' } })
  await next.cancel()
})

describe('a lost device (real engine, scripted pipeline)', () => {
  it('fails a running answer, and is reported as a loss', async () => {
    const { generate: ask, losses } = await openLoaded({ answers: [story], lostAt: 2 })
    await expect(ask()).rejects.toMatchObject({ code: 'device-lost' })
    expect(losses).toMatchObject([{ code: 'device-lost' }])
    await expect(ask()).rejects.toMatchObject({ code: 'device-lost' })
  })

  it('is detected while nothing runs', async () => {
    let device: GPUDevice | undefined
    const { losses, loading } = await open({
      answers: [],
      async onReload() {
        const adapter = await navigator.gpu.requestAdapter()
        device = await adapter?.requestDevice()
      },
    })
    await loading
    device?.destroy()
    await expect.poll(() => losses).toMatchObject([{ code: 'device-lost' }])
  })

  it.each([
    ['fails with another error', () => Promise.reject(new Error('NDArray has already been disposed'))],
    ['waits without an end', () => new Promise<void>(() => {})],
  ])('ends a load that %s', async (_, fail) => {
    const { loading } = await open({
      answers: [],
      async onReload() {
        const device = await (await navigator.gpu.requestAdapter())?.requestDevice()
        device?.destroy()
        return fail()
      },
    })
    await expect(loading).rejects.toMatchObject({ code: 'device-lost' })
  })

  it('is not reported after the model is unloaded', async () => {
    let device: GPUDevice | undefined
    const { backend, seen, losses, loading } = await open({
      answers: [],
      async onReload() {
        device = await (await navigator.gpu.requestAdapter())?.requestDevice()
      },
    })
    await loading
    await backend.unload()
    device?.destroy()
    await device?.lost
    expect(losses).toEqual([])
    expect(seen.isLoaded).toBe(false)
    const { signal } = new AbortController()
    expect(() => backend.generate(storyRequest(), { signal, queueMs: 0 })).toThrow('No model')
  })
})

describe('loading (scripted)', () => {
  it('reports the loaded model', async () => {
    const { info } = await openLoaded({ answers: [] })
    expect(info).toMatchObject({
      model: scriptedModel,
      backend: 'web-llm',
      device: 'webgpu',
      dtype: 'q4f16_1',
      execution: 'mlc',
      contextLength: 400,
      supports: { inputs: ['chat', 'text'], continuation: false, concurrency: 1 },
    })
    for (const name of ['topK', 'minP', 'topLogprobs']) expect(info.supports.options).not.toContain(name)
    expect(info.deviceDescription).not.toBe('')
  })

  it('sets another context window, also for a model with a sliding window', async () => {
    const { loading, seen } = await open({ answers: [] }, { contextLength: 64 })
    expect(await loading).toMatchObject({ contextLength: 64 })
    expect(seen.overrides).toEqual({ context_window_size: 64, sliding_window_size: -1 })
  })

  it('reports its phases, and a fraction that never falls', async () => {
    const { progress, loading } = await open({
      answers: [],
      async onReload(report) {
        report({ progress: NaN, text: 'Start to fetch params' })
        report({
          progress: 0.5,
          text: 'Fetching param cache[1/2]: 1MB fetched. 50% completed, 1 secs elapsed.',
        })
        report({
          progress: 1,
          text: 'Fetching param cache[2/2]: 2MB fetched. 100% completed, 2 secs elapsed.',
        })
        report({ progress: 0.5, text: 'Loading model from cache[1/2]: 1MB loaded. 50% completed' })
        report({ progress: 0.1, text: 'Loading GPU shader modules[1/9]: 11% completed, 1 secs elapsed.' })
        report({ progress: 1, text: 'Finish loading on WebGPU - apple' })
      },
    })
    await loading
    expect(progress.map(({ phase, fraction }) => `${phase} ${fraction}`)).toEqual([
      'download 0',
      'download 0',
      'download 0.5',
      'download 1',
      'load 1',
      'warm-up 1',
      'warm-up 1',
    ])
  })

  it.each(['resolves', 'rejects', 'continues'])('stops on an abort, whether web-llm %s', async (how) => {
    let proceed = () => {}
    const { loading, abort, seen } = await open({
      answers: [],
      async onReload(_, aborted) {
        await aborted
        if (how === 'rejects') throw 'Engine.unload() is called.'
        if (how === 'resolves') return false
        return new Promise<void>((resolve) => (proceed = resolve))
      },
    })
    await expect.poll(() => seen.overrides).toBeDefined()
    abort.abort(new Error('enough'))
    await expect(loading).rejects.toThrow('enough')
    await settle()
    proceed()
    await settle()
    expect(seen.isLoaded).toBe(false)
  })

  it('fails if web-llm stops without an error', async () => {
    const { loading } = await open({ answers: [], onReload: async () => false })
    await expect(loading).rejects.toMatchObject({ code: 'download-failed' })
  })

  it.each([
    ['ShaderF16SupportError', 'model-unsupported'],
    ['FeatureSupportError', 'model-unsupported'],
    ['WebGPUNotAvailableError', 'backend-unavailable'],
    ['DeviceLostError', 'device-lost'],
  ])('reports %s as %s', async (name, code) => {
    const { loading } = await open({
      answers: [],
      onReload: () => Promise.reject(createNamedError(name, 'reported by the engine')),
    })
    await expect(loading).rejects.toMatchObject({
      code,
      message: expect.stringContaining('reported by the engine'),
    })
  })

  it.each([
    new DOMException('Quota exceeded.', 'QuotaExceededError'),
    new Error('Failed to store https://models.invalid/1.bin with error: QuotaExceededError'),
  ])('reports the available space if a store is full: %s', async (error) => {
    const { loading } = await open({
      answers: [],
      async onReload() {
        throw error
      },
    })
    await expect(loading).rejects.toMatchObject({
      code: 'quota-exceeded',
      details: { availableBytes: expect.any(Number) },
    })
  })

  it('refuses an unknown model with similar ids, and an embedding model', async () => {
    const unknown = await open({ answers: [] }, { model: 'Story-2B-q4f16_1-MLC' })
    await expect(unknown.loading).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringContaining(scriptedModel),
    })
    const embedding = await open({ answers: [] }, { model: 'Story-embed-q0f32-MLC' })
    await expect(embedding.loading).rejects.toMatchObject({ code: 'model-unsupported' })
  })
})
