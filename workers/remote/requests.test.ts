// What is sent to a server, and how the engine adapts to what the server says. With a real HTTP server.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RemoteLoadOptions } from '../../lib/contract/remote-options.js'
import type { RequestOptions } from '../../lib/contract/request.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { createRemoteBackend } from './remote-backend.js'

type Body = Readonly<Record<string, unknown>>
type Reply = (response: ServerResponse) => void

let models: Reply
let modelRequests: number
/** The replies to the next requests. After them, each request is answered. */
let replies: Reply[]
let bodies: Body[]
let url: string
let close: () => void

const reply =
  (status: number, body: unknown, more: Readonly<Record<string, string>> = {}): Reply =>
  (response) =>
    void response.writeHead(status, more).end(JSON.stringify(body))
const answered: Reply = (response) => {
  const choices = [{ index: 0, delta: { content: 'Once' }, finish_reason: 'stop' }]
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.end(`data: ${JSON.stringify({ choices })}\n\ndata: [DONE]\n\n`)
}

beforeEach(async () => {
  models = reply(200, { data: [{ id: 'story-model' }] })
  modelRequests = 0
  replies = []
  bodies = []
  const server = createServer(async (request, response) => {
    if (request.url === '/v1/models') {
      modelRequests += 1
      return models(response)
    }
    // What a server says about itself: nothing here.
    if (request.method === 'GET') return void response.writeHead(404).end()
    let body = ''
    for await (const piece of request) body += String(piece)
    bodies.push(JSON.parse(body) as Body)
    ;(replies.shift() ?? answered)(response)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  url = `http://localhost:${(server.address() as AddressInfo).port}/v1/`
  close = () => {
    server.close()
    server.closeAllConnections()
  }
})
afterEach(() => close())

const { signal } = new AbortController()

async function open(options: Partial<RemoteLoadOptions> = {}) {
  const backend = createRemoteBackend()
  const access: RemoteLoadOptions = {
    baseUrl: url,
    model: 'story-model',
    headers: {},
    idleTimeoutMs: 300,
    canContinue: false,
    server: undefined,
    supports: {},
    skipModelList: false,
    allowMissingFinishReason: false,
    extraBody: {},
    ...options,
  }
  const download = { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 }
  const load = { model: { kind: 'none' }, download, options: access, lifeLock: '' } as const
  const info = await backend.load(load, { onProgress() {}, onLost() {}, signal })
  async function ask(request = chatRequest('Hello'), leaving = signal): Promise<string> {
    let text = ''
    for await (const step of backend.generate(request, { signal: leaving, queueMs: 0 })) {
      if (step.kind === 'chunk') text += step.text
    }
    return text
  }
  return { info, ask, generate: (sent: Partial<RequestOptions>) => ask(chatRequest('Hello', sent)) }
}

const refuse = (status: number, message: string, more: object = {}) =>
  reply(status, { error: { message, type: 'invalid_request_error', ...more } })

describe('the list of models is only a hint', () => {
  it.each<[string, Reply]>([
    ['an empty list', reply(200, { data: [] })],
    ['other models', reply(200, { data: [{ id: 'other' }] })],
    ['no JSON', (response) => void response.end('<html>')],
    ...[400, 401, 403, 404, 405, 500, 501].map((status): [string, Reply] => [
      String(status),
      reply(status, {}),
    ]),
  ])('%s: the request decides', async (_, list) => {
    models = list
    expect(await (await open()).ask()).toBe('Once')
  })

  it('its names are in the error for a model that the server refuses', async () => {
    models = reply(200, { data: [{ id: 'other' }, { id: 'third' }] })
    replies = [refuse(404, 'The model `story-model` does not exist.')]
    await expect((await open()).ask()).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringMatching(/does not exist\. The server lists these models: other, third\./),
    })
  })

  it.each([
    ['llama3.2', { id: 'llama3.2:latest', max_model_len: 4096 }],
    ['gemini-x', { id: 'models/gemini-x', context_length: 4096 }],
    ['models/gemini-x', { id: 'gemini-x', context_window: 4096 }],
    ['a/b:nitro', { id: 'a/b', context_length: 4096 }],
    ['story.gguf', { id: 'story.gguf', meta: { n_ctx: 4096, n_ctx_train: 131_072 } }],
    ['m', { id: 'm', loaded_context_length: 4096, max_context_length: 131_072 }],
    ['m', { id: 'm', max_context_length: 4096 }],
  ])('it gives the context length of %s: %j', async (model, entry) => {
    models = reply(200, { data: [{ id: 'first', max_model_len: 1 }, entry] })
    expect((await open({ model })).info.contextLength).toBe(4096)
    models = reply(200, [entry])
    expect((await open({ model })).info.contextLength).toBe(4096)
  })

  it('it is not requested with skipModelList', async () => {
    const { info, ask } = await open({ skipModelList: true })
    expect(await ask()).toBe('Once')
    expect({ modelRequests, contextLength: info.contextLength }).toEqual({
      modelRequests: 0,
      contextLength: undefined,
    })
  })

  it('a server that is not there is an error', async () => {
    close()
    await expect(open()).rejects.toMatchObject({ code: 'connection-failed' })
  })
})

describe('a server’s own fields', () => {
  const owned = (by: string) => reply(200, { data: [{ id: 'story-model', owned_by: by }] })

  it.each([
    ['llamacpp', 'repeat_penalty'],
    ['me', 'repeat_penalty'],
    ['vllm', 'repetition_penalty'],
    ['openai', 'repetition_penalty'],
  ])('the repetition penalty of a server of "%s" is %s', async (owner, field) => {
    models = owned(owner)
    await (await open()).generate({ repetitionPenalty: 1.1 })
    expect(bodies[0]).toMatchObject({ [field]: 1.1 })
    expect(Object.keys(bodies[0]!).filter((name) => name.startsWith('repe'))).toEqual([field])
  })

  it('options that the server ignores are not supported', async () => {
    models = owned('library')
    const { supports } = (await open()).info
    expect(supports.options).not.toContain('repetitionPenalty')
    expect(supports.options).not.toContain('topK')
    expect(supports.options).toContain('temperature')
  })

  it('the option "server" decides where the list does not', async () => {
    const { info, generate } = await open({ server: 'openai' })
    expect(info.supports.options).not.toContain('minP')
    await generate({ maxTokens: 5 })
    expect(bodies[0]).toMatchObject({ max_completion_tokens: 5 })
    expect(bodies[0]).not.toHaveProperty('max_tokens')
  })

  it('a completion keeps max_tokens', async () => {
    await (await open({ server: 'openai' })).ask(textRequest('Once', { maxTokens: 5 }))
    expect(bodies[0]).toMatchObject({ prompt: 'Once', max_tokens: 5 })
  })

  it('more fields are sent with each request; options replace fields of the same name', async () => {
    const { generate } = await open({ extraBody: { reasoning_effort: 'low', temperature: 1, top_p: 0.5 } })
    await generate({ temperature: 0 })
    expect(bodies[0]).toMatchObject({ reasoning_effort: 'low', temperature: 0, top_p: 0.5 })
  })
})

describe('a refused field', () => {
  it.each([
    [400, refuse(400, 'Unrecognized request argument supplied: stream_options')],
    [400, refuse(400, 'Not allowed.', { param: 'stream_options' })],
    [400, refuse(400, 'Unknown field in the request')],
    [
      422,
      reply(422, { detail: [{ loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' }] }),
    ],
  ])('stream_options is left out at the next try, and in later requests: %i', async (_, refusal) => {
    replies = [refusal]
    const { ask } = await open()
    expect(await ask()).toBe('Once')
    expect(await ask()).toBe('Once')
    expect(bodies.map((body) => 'stream_options' in body)).toEqual([true, false, false])
  })

  it('max_tokens becomes max_completion_tokens where the server wants it', async () => {
    const words =
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    replies = [refuse(400, words, { param: 'max_tokens', code: 'unsupported_parameter' })]
    const { generate } = await open()
    await generate({ maxTokens: 5 })
    await generate({ maxTokens: 6 })
    expect(bodies.map((body) => [body.max_tokens, body.max_completion_tokens])).toEqual([
      [5, undefined],
      [undefined, 5],
      [undefined, 6],
    ])
  })

  it('another field is the caller’s error, after one request', async () => {
    replies = [refuse(400, 'Unknown parameter: top_k', { param: 'top_k' })]
    await expect((await open()).generate({ topK: 5 })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(/top_k/),
    })
    expect(bodies).toHaveLength(1)
  })

  it('is not corrected for ever', async () => {
    replies = Array.from({ length: 20 }, (_, index) =>
      refuse(400, `max_tokens must be at most ${90 - index}, stream_options is not allowed`),
    )
    await expect((await open()).generate({ maxTokens: 1000 })).rejects.toMatchObject({
      code: 'invalid-option',
    })
    expect(bodies).toHaveLength(4)
  })
})

describe('maxTokens beyond the rest of the context', () => {
  it.each([
    [
      4084,
      "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your request has 12 input tokens (8000 > 4096 - 12).",
    ],
    [
      4084,
      "This model's maximum context length is 4096 tokens. However, you requested 8012 tokens (12 in the messages, 8000 in the completion). Please reduce the length of the messages or completion.",
    ],
    [
      4084,
      "This model's maximum context length is 4,096 tokens, however you requested 8012 tokens (12 in your prompt; 8000 for the completion).",
    ],
    [
      4084,
      "This model's maximum context length is 4096 tokens. However, you requested 8000 output tokens and your prompt contains at least 12 input tokens, for a total of at least 8012 tokens.",
    ],
    [
      4084,
      "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 8012 tokens: 12 tokens from the input messages and 8000 tokens for the completion.",
    ],
    [
      4084,
      '`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 12 `inputs` tokens and 8000 `max_new_tokens`',
    ],
    [
      4096,
      'max_tokens is too large: 8000. This model supports at most 4096 completion tokens, whereas you provided 8000.',
    ],
    [4096, 'max_tokens: 8000 > 4096, which is the maximum allowed number of output tokens for this model'],
    [4096, 'Invalid max_tokens value, the valid range of max_tokens is [1, 4096]'],
  ])('is clipped to %i, in the server’s words: %s', async (room, words) => {
    replies = [refuse(400, words)]
    expect(await (await open()).generate({ maxTokens: 8000 })).toBe('Once')
    expect(bodies.map((body) => body.max_tokens)).toEqual([8000, room])
  })

  it('does not hide a prompt that is too long', async () => {
    const words =
      "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."
    replies = [refuse(400, words)]
    await expect((await open()).generate({ maxTokens: 10 })).rejects.toMatchObject({
      code: 'prompt-too-long',
    })
    expect(bodies).toHaveLength(1)
  })

  it('is not invented for a request without maxTokens', async () => {
    replies = [refuse(400, 'This model supports at most 4096 completion tokens. The prompt is too long.')]
    await expect((await open()).ask()).rejects.toMatchObject({ code: 'prompt-too-long' })
    expect(bodies).toHaveLength(1)
  })
})

describe('a busy server', () => {
  const busy = (more: Readonly<Record<string, string>>, status = 429) =>
    reply(status, { error: { message: 'Busy.' } }, more)

  it.each([
    ['seconds', { 'retry-after': '1' }],
    ['milliseconds', { 'retry-after-ms': '700', 'retry-after': '30' }],
    [
      'a date',
      {
        'retry-after': new Date(Date.parse('2026-11-27T10:00:01Z')).toUTCString(),
        date: new Date(Date.parse('2026-11-27T10:00:00Z')).toUTCString(),
      },
    ],
  ])('is waited for longer than the timeout of a silent connection: %s', async (_, more) => {
    replies = [busy(more)]
    const { ask } = await open({ idleTimeoutMs: 300 })
    const start = performance.now()
    expect(await ask()).toBe('Once')
    expect(performance.now() - start).toBeGreaterThan(600)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it.each([
    [2, busy({ 'x-should-retry': 'true', 'retry-after-ms': '1' }, 500)],
    [2, busy({ 'retry-after-ms': '1' }, 529)],
    [1, busy({ 'x-should-retry': 'false' })],
    [1, refuse(429, 'You exceeded your current quota.', { code: 'insufficient_quota' })],
  ])('gets %i requests', async (requests, first) => {
    replies = [first]
    const { ask } = await open()
    const asked = ask()
    if (requests === 1) await expect(asked).rejects.toMatchObject({ code: 'connection-failed' })
    else expect(await asked).toBe('Once')
    expect(bodies).toHaveLength(requests)
  })

  it('that asks to wait can be left at once', async () => {
    replies = [busy({ 'retry-after': '30' })]
    const { ask } = await open()
    const abort = new AbortController()
    setTimeout(() => abort.abort(new Error('left')), 50)
    await expect(ask(chatRequest('Hello'), abort.signal)).rejects.toThrow('left')
  })
})
