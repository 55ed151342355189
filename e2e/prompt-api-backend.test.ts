// promptApi()'s worker and page, connected as in a browser. The browser's model is this library's own class over a scripted
// engine, or a stand-in with a recorded misbehaviour of a real one.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createScriptedEngine, type Script } from '../lib/chat/scripted-engine.test-support.js'
import type { CheckedRequest } from '../lib/check-request.js'
import { serveBrowserModel } from '../lib/browser-model/serve-browser-model.js'
import type { GenerateRequest, RequestMessage } from '../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../lib/contract/worker-api.js'
import { promptApi } from '../lib/prompt-api-backend.js'
import { createLanguageModel } from '../lib/prompt-api.js'
import { createPromptApiBackend } from '../workers/prompt-api/prompt-api-backend.js'
import { chatRequest, textRequest } from '../workers/request.test-support.js'

const words = ['Once', ' upon', ' a', ' time', '.']
const stops: (() => void)[] = []

beforeEach(() => vi.stubGlobal('ProgressEvent', Event))
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  vi.unstubAllGlobals()
})

function connect(timeoutMs?: number) {
  const { port1, port2 } = new MessageChannel()
  // Node's ports are the platform's, with other types.
  stops.push(serveBrowserModel(port1, timeoutMs), () => port2.close())
  const backend = createPromptApiBackend(Promise.resolve(port2))
  const load = (signal = new AbortController().signal) =>
    backend.load(
      {
        lifeLock: 'none',
        model: { kind: 'none' },
        download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
        options: { languages: ['en'] },
      },
      { onProgress() {}, onLost() {}, signal },
    )
  return { backend, load }
}

async function open(answer: (request: CheckedRequest) => Script = () => ({ words }), contextLength = 1000) {
  const engine = createScriptedEngine(answer, { contextLength })
  vi.stubGlobal('LanguageModel', createLanguageModel(engine))
  const { backend, load } = connect()
  const info = await load()
  async function run(request: GenerateRequest, signal = new AbortController().signal) {
    const steps = backend.generate(request, { signal, queueMs: 0 })
    const all: GenerationStep[] = []
    let step: IteratorResult<GenerationStep, AnswerEnd> = await steps.next()
    for (; !step.done; step = await steps.next()) all.push(step.value)
    const texts = all.flatMap((each) => (each.kind === 'chunk' ? [each.text] : []))
    return { all, texts, end: step.value }
  }
  return { engine, backend, info, run }
}

const user = (content: string) => ({ role: 'user', content }) as const
const assistant = (content: string) => ({ role: 'assistant', content }) as const

describe('promptApi() (this library’s class over a scripted engine)', () => {
  it('streams the chunks of the browser’s model, after the size of the prompt', async () => {
    const { run, info } = await open()
    expect(info).toMatchObject({ backend: 'prompt-api', device: 'browser', contextLength: 750 })
    const { all, texts, end } = await run(chatRequest('Hello'))
    expect(all[0]).toMatchObject({ kind: 'started', promptTokens: 20 + 'Hello'.length })
    expect(texts).toEqual(words)
    expect(end).toBe('stop')
  })

  it('counts the tokens of a prompt as its answer reports them', async () => {
    const { backend } = await open()
    const { signal } = new AbortController()
    const { count } = backend.tokenCounter!
    expect(await count(chatRequest('Hello'), signal)).toBe(20 + 'Hello'.length)
    await expect(count(textRequest('Hello'), signal)).rejects.toMatchObject({ code: 'invalid-option' })
  })

  it('ends at maxTokens chunks and at stop strings, and the next request runs', async () => {
    const { run } = await open()
    expect(await run(chatRequest('Hello', { maxTokens: 2 }))).toMatchObject({
      texts: ['Once', ' upon'],
      end: 'length',
    })
    const stopped = await run(chatRequest('Hello', { stop: ['on a'] }))
    expect([stopped.texts.join(''), stopped.end]).toEqual(['Once up', 'stop'])
    expect((await run(chatRequest('Hello'))).texts).toEqual(words)
  })

  it('continues a conversation in its session, and starts a new session for another one', async () => {
    const { run, engine } = await open()
    const first: readonly RequestMessage[] = [{ role: 'system', content: 'Be brief.' }, user('One')]
    await run(chatRequest(first))
    const second = [...first, assistant(words.join('')), user('Two')]
    const created = engine.prefilled.length
    await run(chatRequest(second))
    expect(engine.prefilled).toHaveLength(created)
    expect(engine.requests.at(-1)!.prompt).toEqual(second)
    const edited = [user('Other'), assistant('Yes.'), user('Two')]
    await run(chatRequest(edited))
    expect(engine.requests.at(-1)!.prompt).toEqual(edited)
  })

  it('continues an answer that another backend started', async () => {
    const { run, engine } = await open()
    const resume = {
      handedOver: { text: 'Well, ', tokens: 2 },
      generated: { text: 'once', tokens: 1, tokenIds: [] },
    }
    const { texts } = await run({ ...chatRequest('Hello', { maxTokens: 5 }, 'So: '), resume })
    expect(texts).toEqual(words.slice(0, 2))
    expect(engine.requests[0]).toMatchObject({ assistantPrefix: 'So: Well, once' })
  })

  it('passes on the form of an answer, and refuses what the API does not have', async () => {
    const { run, engine } = await open(() => ({ words: ['{"a":', '1}'] }))
    const schema = { type: 'object' }
    await run(chatRequest('Hello', { responseFormat: { kind: 'json-schema', schema } }))
    await run(chatRequest('Hello', { responseFormat: { kind: 'regex', pattern: '[a-z]+' } }))
    expect(engine.requests.map(({ options }) => options.responseFormat)).toEqual([
      { kind: 'json-schema', schema },
      { kind: 'regex', pattern: '[a-z]+' },
    ])
    for (const request of [
      textRequest('Hello'),
      chatRequest('Hello', { responseFormat: { kind: 'grammar', grammar: 'root ::= "a"' } }),
    ]) {
      await expect(run(request)).rejects.toMatchObject({ code: 'invalid-option' })
    }
  })

  it('is paused by an unread stream, and cancelled within a step', async () => {
    const { run, backend } = await open(() => ({ words: Array.from({ length: 500 }, () => 'word ') }))
    const abort = new AbortController()
    const steps = backend.generate(chatRequest('Hello'), { signal: abort.signal, queueMs: 0 })
    await steps.next()
    await steps.next()
    abort.abort('left')
    await expect(steps.next()).rejects.toBe('left')
    expect((await run(chatRequest('Hello', { maxTokens: 1 }))).texts).toEqual(['word '])
  })

  it('ends with prompt-too-long instead of dropping old messages', async () => {
    const { run } = await open(() => ({ words }), 200)
    const long: RequestMessage[] = [user('x'.repeat(200))]
    await expect(run(chatRequest(long))).rejects.toMatchObject({ code: 'prompt-too-long' })
    const first = [user('a'.repeat(60))]
    await run(chatRequest(first))
    const next = [...first, assistant(words.join('')), user('b'.repeat(60))]
    await expect(run(chatRequest(next))).rejects.toMatchObject({ code: 'prompt-too-long' })
    expect((await run(chatRequest('Hello'))).texts).toEqual(words)
  })
})

describe('promptApi() over a browser that misbehaves (stand-in)', () => {
  const answering = (stream: () => ReadableStream<unknown>) => ({
    availability: async () => 'available',
    create: async () =>
      Object.assign(new EventTarget(), { promptStreaming: stream, destroy() {}, contextWindow: 9216 }),
  })
  const failing = (name: string) =>
    answering(() => new ReadableStream({ start: (it) => it.error(new DOMException('It failed.', name)) }))

  it.each([
    ['InvalidStateError', 'device-lost'],
    ['QuotaExceededError', 'prompt-too-long'],
    ['NotSupportedError', 'invalid-option'],
    ['NotReadableError', 'generation-failed'],
    ['UnknownError', 'generation-failed'],
  ])('an answer that fails with %s ends with %s', async (name, code) => {
    vi.stubGlobal('LanguageModel', failing(name))
    const { backend, load } = connect()
    await load()
    const { signal } = new AbortController()
    const steps = backend.generate(chatRequest('Hello'), { signal, queueMs: 0 })
    await expect(steps.next()).rejects.toMatchObject({ code, message: expect.stringContaining('It failed.') })
  })

  it('create() that never settles ends with backend-unavailable', async () => {
    vi.stubGlobal('LanguageModel', {
      availability: async () => 'available',
      create: () => new Promise(() => {}),
    })
    await expect(connect(20).load()).rejects.toMatchObject({ code: 'backend-unavailable' })
    const abort = new AbortController()
    const loading = connect().load(abort.signal)
    setTimeout(() => abort.abort('left'), 5)
    await expect(loading).rejects.toBe('left')
  })

  it('create() without a click of the user ends with backend-unavailable', async () => {
    const create = () => Promise.reject(new DOMException('Requires a user gesture.', 'NotAllowedError'))
    vi.stubGlobal('LanguageModel', { availability: async () => 'downloadable', create })
    await expect(connect().load()).rejects.toMatchObject({ code: 'backend-unavailable' })
  })

  it('an older version without measureContextUsage still answers', async () => {
    vi.stubGlobal(
      'LanguageModel',
      answering(
        () =>
          new ReadableStream({
            start(it) {
              for (const word of words) it.enqueue(word)
              it.close()
            },
          }),
      ),
    )
    const { backend, load } = connect()
    expect(await load()).toMatchObject({ contextLength: 9216 })
    const { signal } = new AbortController()
    const steps = backend.generate(chatRequest('Hello'), { signal, queueMs: 0 })
    expect((await steps.next()).value).toMatchObject({ kind: 'started', promptTokens: undefined })
  })
})

describe('promptApi() is available', () => {
  const check = (state: unknown, options = {}) => {
    vi.stubGlobal('document', {})
    if (state !== undefined) {
      const availability = async () => {
        if (state instanceof Error) throw state
        return state
      }
      vi.stubGlobal('LanguageModel', { availability, create: () => {} })
    }
    return promptApi(options).checkAvailability()
  }

  it('only if the browser has its model, or may download it', async () => {
    expect(await check('available')).toEqual({ isAvailable: true })
    const reason = (text: string) => ({ isAvailable: false, reason: expect.stringContaining(text) })
    expect(await check('downloadable')).toEqual(reason('allowDownload'))
    expect(await check('downloadable', { allowDownload: true })).toEqual({ isAvailable: true })
    expect(await check('unavailable', { allowDownload: true })).toEqual(reason('device'))
    expect(await check(new Error('policy'))).toEqual(reason('policy'))
  })

  it('not where there is no class, and not on a server', async () => {
    expect(await check(undefined)).toMatchObject({ reason: expect.stringContaining('no Prompt API') })
    vi.unstubAllGlobals()
    expect(await promptApi().checkAvailability()).toMatchObject({ reason: expect.stringContaining('server') })
  })

  it.each([
    ['"allow"', { allow: true }],
    ['languages', { languages: 'en' }],
    ['allowDownload', { allowDownload: 1 }],
    ['worker', { worker: 1 }],
  ])('refuses, by its name, %s', (name, options) => {
    expect(() => promptApi(options as never)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
    )
  })
})
