import { afterEach, describe, expect, it } from 'vitest'
import type { GenerateRequest } from '../../lib/contract/options.js'
import type { WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import type { LoadProgress } from '../../lib/contract/worker-api.js'
import type { Step } from '../backend.js'
import { loadWebLlm } from './runtime.js'
import { createScriptedEngine, createScriptedRuntime, scriptedWords } from './scripted-engine.test-support.js'
import { createWebLlmBackend } from './web-llm-backend.js'

const story = scriptedWords.slice(0, 9).join('')
const request: GenerateRequest = { prompt: 'Tell me a story.', stop: [], seed: 1, temperature: 0 }
const download = { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 }

function load(
  backend: ReturnType<typeof createWebLlmBackend>,
  model: string,
  modelRecords: readonly WebLlmModelRecord[] = [],
  seen: { progress?: LoadProgress[]; lost?: unknown[] } = {},
) {
  return backend.load(
    {
      model: { kind: 'none' },
      download,
      lifeLock: '',
      options: { model, modelRecords, cache: 'indexeddb', contextLength: undefined },
    },
    {
      onProgress: (progress) => seen.progress?.push(progress),
      onLost: (error) => seen.lost?.push(error),
      signal: new AbortController().signal,
    },
  )
}

async function openScripted() {
  const engine = createScriptedEngine()
  const backend = createWebLlmBackend(() => Promise.resolve(createScriptedRuntime(engine)))
  await load(backend, 'Story-1B-q4f16_1-MLC')
  const generate = (changes: Partial<GenerateRequest> = {}, signal = new AbortController().signal) =>
    backend.generate({ ...request, ...changes }, { signal })
  return { engine, backend, generate }
}

async function readAll(steps: AsyncGenerator<Step, 'stop' | 'length', undefined>) {
  const all: Step[] = []
  for (;;) {
    const { done, value } = await steps.next()
    if (done)
      return {
        all,
        finishReason: value,
        text: all.map((each) => (each.kind === 'token' ? each.text : '')).join(''),
      }
    all.push(value)
  }
}

describe('loading with web-llm (scripted engine)', () => {
  it('tells what is loaded, and progress that never falls', async () => {
    const progress: LoadProgress[] = []
    const backend = createWebLlmBackend(() => Promise.resolve(createScriptedRuntime()))
    expect(await load(backend, 'Story-1B-q4f16_1-MLC', [], { progress })).toMatchObject({
      model: 'Story-1B-q4f16_1-MLC',
      backend: 'web-llm',
      device: 'webgpu',
      dtype: 'q4f16_1',
      canContinue: false,
    })
    expect(progress.map(({ phase }) => phase)).toEqual([
      'download',
      'download',
      'download',
      'load',
      'warm-up',
      'load',
    ])
    const fractions = progress.map(({ fraction }) => fraction)
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(progress[1]).toMatchObject({ loadedBytes: 10 * 2 ** 20, totalBytes: 20 * 2 ** 20 })
  })

  it.each([
    ['given-up', 'model-invalid'],
    ['lost', 'device-lost'],
  ])('of %j fails with %s, also where web-llm resolves', async (model, code) => {
    const backend = createWebLlmBackend(() => Promise.resolve(createScriptedRuntime()))
    await expect(load(backend, model)).rejects.toMatchObject({ name: 'RivuletError', code })
  })
})

describe('an answer of web-llm’s (scripted engine)', () => {
  it('comes token by token, with what was counted', async () => {
    const { generate } = await openScripted()
    const { all, text, finishReason } = await readAll(generate())
    expect(text).toBe(story)
    expect(finishReason).toBe('stop')
    expect(all.at(-1)).toMatchObject({ kind: 'counted', promptTokens: 14, completionTokens: 9 })
  })

  it('makes no step that is not asked for', async () => {
    const { engine, generate } = await openScripted()
    const steps = generate()
    await steps.next()
    await steps.next()
    const before = engine.seen.steps
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(engine.seen.steps).toBe(before)
    await steps.return('stop')
  })

  it('gives the model back however it is left, and the next one runs', async () => {
    const { engine, generate } = await openScripted()
    const left = generate()
    await left.next()
    await left.next()
    await left.return('stop')
    expect(engine.seen.isLocked).toBe(false)
    const abort = new AbortController()
    const aborted = generate({}, abort.signal)
    await aborted.next()
    abort.abort(new Error('enough'))
    await expect(readAll(aborted)).rejects.toThrow('enough')
    expect(engine.seen.isLocked).toBe(false)
    expect((await readAll(generate())).text).toBe(story)
  })

  it('is not begun for who has left before its first step', async () => {
    const { engine, generate } = await openScripted()
    await expect(readAll(generate({}, AbortSignal.abort(new Error('before'))))).rejects.toThrow('before')
    expect(engine.seen.prefills).toBe(0)
    expect((await readAll(generate())).text).toBe(story)
  })

  it('ends before a stop string, which it is not told, with its counts', async () => {
    const { engine, generate } = await openScripted()
    const { text, finishReason, all } = await readAll(generate({ stop: ['n a t'] }))
    expect(text).toBe('Once upo')
    expect(finishReason).toBe('stop')
    expect(all.at(-1)).toMatchObject({ kind: 'counted', promptTokens: 14, completionTokens: 4 })
    expect(engine.seen.rounds[0]).not.toHaveProperty('stop')
  })

  it('ends with what no chunk carried', async () => {
    const { engine, generate } = await openScripted()
    engine.fault = 'torn end'
    expect((await readAll(generate())).text).toBe(`${story}\uFFFD`)
  })

  it('counts the prompt whole, where it goes on from the last conversation', async () => {
    const { generate } = await openScripted()
    await readAll(generate())
    const prompt = [
      { role: 'user', content: 'Tell me a story.' },
      { role: 'assistant', content: story },
      { role: 'user', content: 'And then?' },
    ] as const
    const { all } = await readAll(generate({ prompt }))
    expect(all.at(-1)).toMatchObject({ promptTokens: 14 + 9 + 2, cachedPromptTokens: 14 + 9 })
    const { all: other } = await readAll(generate())
    expect(other.at(-1)).toMatchObject({ promptTokens: 14, cachedPromptTokens: 0 })
  })

  it.each([
    [{ topK: 5 }, 'topK'],
    [{ minP: 0.1 }, 'minP'],
    [{ topLogprobs: 1 }, 'topLogprobs'],
  ])('refuses %j by name, before any work', async (changes, name) => {
    const { engine, generate } = await openScripted()
    await expect(readAll(generate(changes))).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining(name),
    })
    expect(engine.seen.rounds).toEqual([])
    expect((await readAll(generate({ topK: 0, minP: 0 }))).text).toBe(story)
  })

  it.each([
    [{ prompt: 'many words '.repeat(300) }, 'prompt-too-long'],
    [{ prompt: [{ role: 'assistant', content: 'Hello' }] as const }, 'chat-template-failed'],
  ])('fails typed, and the next one runs', async (changes, code) => {
    const { generate } = await openScripted()
    await expect(readAll(generate(changes))).rejects.toMatchObject({ name: 'RivuletError', code })
    expect((await readAll(generate())).text).toBe(story)
  })

  it('whose device is lost in mid-stream says so', async () => {
    const { engine, generate } = await openScripted()
    engine.fault = 'device lost'
    const steps = generate()
    await steps.next()
    await steps.next()
    await steps.next()
    await expect(steps.next()).rejects.toMatchObject({ code: 'device-lost' })
  })

  it('is freed with its model', async () => {
    const { engine, backend } = await openScripted()
    await backend.unload()
    expect(engine.seen.isUnloaded).toBe(true)
  })
})

describe('loading with web-llm (real package)', () => {
  const { fetch: realFetch } = globalThis
  afterEach(() => {
    globalThis.fetch = realFetch
  })

  const base = 'https://models.example/own/'
  const record: WebLlmModelRecord = {
    model_id: 'own-q4f16_1',
    model: base,
    model_lib: 'https://models.example/own.wasm',
  }
  const config = JSON.stringify({ context_window_size: 2048, tokenizer_files: ['tokenizer.json'] })

  /** Stands in for the network; web-llm's default cache fetches where nothing can stand in, its others do not. */
  function answer(files: Readonly<Record<string, BodyInit | number>>): string[] {
    const asked: string[] = []
    globalThis.fetch = async (input) => {
      const url = input instanceof Request ? input.url : String(input)
      asked.push(url)
      const found = files[url]
      if (found === undefined || typeof found === 'number')
        return new Response('no', { status: found ?? 404 })
      return new Response(found, { headers: { 'content-type': 'application/octet-stream' } })
    }
    return asked
  }
  const configUrl = `${base}resolve/main/mlc-chat-config.json`
  const open = (own: WebLlmModelRecord = record) => load(createWebLlmBackend(loadWebLlm), own.model_id, [own])

  it('of an unknown model names those that are called alike', async () => {
    await expect(load(createWebLlmBackend(loadWebLlm), 'Llama-99B')).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringMatching(/Llama-99B.*Llama-3/),
    })
  })

  it.each([
    ['a library', { [configUrl]: config }, 'model-not-found', /own\.wasm/],
    ['a configuration', { [record.model_lib]: 'wasm' }, 'model-not-found', /mlc-chat-config/],
    ['a well server', { [record.model_lib]: 503, [configUrl]: config }, 'download-failed', /503/],
    ['JSON', { [record.model_lib]: 'wasm', [configUrl]: '<html>' }, 'model-invalid', /JSON/],
  ])('without %s says which, where web-llm would say something else', async (_, files, code, message) => {
    answer(files)
    await expect(open()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('of a library that is none is refused', async () => {
    answer({ [configUrl]: config, [record.model_lib]: 'this is no WebAssembly' })
    await expect(open()).rejects.toMatchObject({ code: 'model-invalid' })
  })

  it('of files with another hash is refused, with both hashes', async () => {
    answer({ [configUrl]: config, [record.model_lib]: 'this is no WebAssembly' })
    const expected = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    await expect(
      open({ ...record, model_id: 'checked-q4f16_1', integrity: { model_lib: expected } }),
    ).rejects.toMatchObject({
      code: 'integrity-failed',
      details: { file: record.model_lib, expected, got: expect.stringMatching(/^sha256-/) },
    })
  })

  it('without a connection says so', async () => {
    globalThis.fetch = () => Promise.reject(new TypeError('Failed to fetch'))
    await expect(open({ ...record, model_id: 'far-q4f16_1' })).rejects.toMatchObject({
      code: 'download-failed',
    })
  })
})
