// With a real HTTP server that follows vLLM's documentation (OpenAI-compatible server); vLLM itself does not run here.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RemoteLoadOptions } from '../../lib/contract/remote-options.js'
import { listOptions } from '../../lib/contract/option-table.js'
import type { GenerateRequest, RequestOptions } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { createRemoteBackend } from './remote-backend.js'

interface Seen {
  readonly url: string
  readonly authorization: string | undefined
  readonly body: Record<string, unknown>
  /** When the client closed the connection. */
  readonly closed: Promise<void>
}

type Answer = (response: ServerResponse, seen: Seen) => void | Promise<void>

let url: string
let answers: Answer[]
let requests: Seen[]
let models: unknown
let close: () => void

beforeEach(async () => {
  answers = []
  requests = []
  models = { data: [{ id: 'story-model', max_model_len: 4096 }] }
  const server = createServer((request, response) => void respond(request, response))
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  url = `http://localhost:${(server.address() as AddressInfo).port}/v1/`
  close = () => {
    server.close()
    server.closeAllConnections()
  }
})
afterEach(() => close())

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === '/v1/models') return void response.end(JSON.stringify(models))
  let body = ''
  for await (const piece of request) body += String(piece)
  const seen = {
    url: request.url ?? '',
    authorization: request.headers.authorization,
    body: JSON.parse(body) as Record<string, unknown>,
    closed: new Promise<void>((resolve) => response.once('close', resolve)),
  }
  requests.push(seen)
  await answers.shift()?.(response, seen)
}

const chunk = (content: string, finishReason: string | null = null) =>
  JSON.stringify({
    object: 'chat.completion.chunk',
    choices: [{ delta: { content }, finish_reason: finishReason }],
  })
const usage = JSON.stringify({
  choices: [],
  usage: { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } },
})
const texts = ['Once', ' upon 🐉', ' a\ntime']
const events = [
  JSON.stringify({ choices: [{ delta: { role: 'assistant', content: '' } }] }),
  ...texts.map((text) => chunk(text)),
  chunk('', 'stop'),
  usage,
  '[DONE]',
]
const write = (data: readonly string[], newline = '\n') =>
  data.map((each) => `data: ${each}${newline}${newline}`).join('')

const newlines = ['\n', '\r\n', '\r']

/** With a byte order mark and a comment. */
const recordStream = (newline: string) =>
  new TextEncoder().encode(`\uFEFF: keep-alive${newline}${newline}${write(events, newline)}`)

function sendStream(body: string | Uint8Array): Answer {
  return (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(body)
}

const sendError =
  (status: number, body: object | string, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))

const question = 'Tell me a story.'
const storyRequest = (options: Partial<RequestOptions> = {}) => chatRequest(question, { seed: 1, ...options })
const { signal } = new AbortController()
const context = { onProgress() {}, onLost() {}, signal }

async function open(options: Partial<RemoteLoadOptions> = {}) {
  const backend = createRemoteBackend()
  const access = {
    baseUrl: url,
    model: 'story-model',
    headers: {},
    idleTimeoutMs: 1000,
    canContinue: true,
    server: undefined,
    supports: {},
    skipModelList: false,
    allowMissingFinishReason: false,
    extraBody: {},
    ...options,
  }
  const place = { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 }
  const info = await backend.load(
    { model: { kind: 'none' }, download: place, options: access, lifeLock: '' },
    context,
  )
  return { backend, info }
}

type Backend = Awaited<ReturnType<typeof open>>['backend']

async function generate(request?: GenerateRequest, options: Parameters<typeof open>[0] = {}) {
  return answerWith((await open(options)).backend, request)
}

async function answerWith(backend: Backend, request: GenerateRequest = storyRequest()) {
  const steps: GenerationStep[] = []
  const generator = backend.generate(request, { signal, queueMs: 5 })
  for (;;) {
    const { done, value } = await generator.next()
    if (done) return { steps, finishReason: value, text: joinText(steps) }
    steps.push(value)
  }
}

/** The answer without what differs between two runs. */
const leaveOutTimes = ({ steps, ...answer }: Awaited<ReturnType<typeof answerWith>>) => ({
  ...answer,
  steps: steps.map((step) => (step.kind === 'started' ? { ...step, prefillMs: 0 } : step)),
})

const joinText = (steps: readonly GenerationStep[]) =>
  steps.map((step) => (step.kind === 'chunk' ? step.text : '')).join('')

describe('an answer from a server', () => {
  it('is streamed chunk by chunk, with the server’s token counts', async () => {
    answers.push(sendStream(write(events)))
    const { steps, finishReason } = await generate()
    expect(finishReason).toBe('stop')
    expect(steps).toEqual([
      {
        kind: 'started',
        promptTokens: undefined,
        cachedPromptTokens: 0,
        queueMs: 5,
        prefillMs: expect.any(Number),
      },
      ...texts.map((text) => ({ kind: 'chunk', text, tokenIds: [], tokenCount: 1 })),
      { kind: 'counted', promptTokens: 7, cachedPromptTokens: 4, completionTokens: 3, timings: undefined },
    ])
  })

  it.each(newlines)(
    'is the same wherever the network splits it, with %j as the line end',
    async (newline) => {
      const { backend } = await open()
      const bytes = recordStream(newline)
      answers.push(sendStream(bytes))
      const whole = await answerWith(backend)
      expect(whole.text).toBe(texts.join(''))
      for (let at = 1; at < bytes.length; at += 1) {
        answers.push(async (response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
          response.write(bytes.subarray(0, at))
          await new Promise((resolve) => setImmediate(resolve))
          response.end(bytes.subarray(at))
        })
        expect(leaveOutTimes(await answerWith(backend)), `cut at ${at}`).toEqual(leaveOutTimes(whole))
      }
    },
    60_000,
  )

  it('is requested with every option, under the names of OpenAI and vLLM', async () => {
    answers.push(sendStream(write(events)))
    await generate(
      storyRequest({
        maxTokens: 5,
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        minP: 0.1,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        presencePenalty: 0.3,
        logitBias: { 5: -1 },
        stop: ['END'],
      }),
      { headers: { authorization: 'Bearer key-of-mine' } },
    )
    expect(requests[0]).toMatchObject({
      url: '/v1/chat/completions',
      authorization: 'Bearer key-of-mine',
      body: {
        model: 'story-model',
        messages: [{ role: 'user', content: 'Tell me a story.' }],
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: 5,
        temperature: 0.5,
        top_p: 0.9,
        top_k: 40,
        min_p: 0.1,
        repetition_penalty: 1.1,
        frequency_penalty: 0.2,
        presence_penalty: 0.3,
        logit_bias: { 5: -1 },
        seed: 1,
        stop: ['END'],
      },
    })
  })

  it('is requested without unset options, and can continue raw text', async () => {
    const raw = [JSON.stringify({ choices: [{ text: 'upon', finish_reason: 'length' }] }), '[DONE]']
    answers.push(sendStream(write(raw)))
    const { text, finishReason } = await generate(textRequest('Once'))
    expect({ text, finishReason }).toEqual({ text: 'upon', finishReason: 'length' })
    expect(requests[0]).toMatchObject({ url: '/v1/completions' })
    expect(Object.keys(requests[0]!.body).toSorted()).toEqual(['model', 'prompt', 'stream', 'stream_options'])
  })

  it('is requested without a seed if the request has none', async () => {
    answers.push(sendStream(write(events)))
    await generate(chatRequest(question))
    expect(requests[0]!.body).not.toHaveProperty('seed')
  })

  it('takes every option that is sent to servers, but those that servers of unknown kind may ignore', async () => {
    const { supports } = (await open()).info
    const unknown = new Set<string>([
      'responseFormat',
      'tools',
      'toolChoice',
      'parallelToolCalls',
      'reasoning',
    ])
    expect(supports.options).toEqual(listOptions('remote').filter((name) => !unknown.has(name)))
    expect(supports).toMatchObject({ inputs: ['chat', 'text'], continuation: true })
  })

  it('comes with the server’s information about the model', async () => {
    expect((await open()).info).toMatchObject({
      model: 'story-model',
      device: 'server',
      deviceDescription: new URL(url).host,
      contextLength: 4096,
    })
    models = {}
    expect((await open()).info.contextLength).toBeUndefined()
  })
})

describe('an answer that fails', () => {
  const failures: Record<string, { answer: Answer; code: string; message?: RegExp; text?: string }> = {
    'with an error in the middle, before its terminator': {
      answer: sendStream(
        write([...events.slice(0, 3), '{"error":{"message":"out of memory","code":500}}', '[DONE]']),
      ),
      code: 'generation-failed',
      message: /out of memory/,
    },
    'because the connection breaks': {
      answer: (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(write(events.slice(0, 3)), () => setTimeout(() => response.destroy(), 20))
      },
      code: 'connection-failed',
    },
    'because the server falls silent': {
      answer: (response) =>
        void response
          .writeHead(200, { 'content-type': 'text/event-stream' })
          .write(write(events.slice(0, 3))),
      code: 'connection-failed',
      message: /no data for 1000 ms/,
    },
    'with an event that does not end': {
      answer: sendStream(`data: ${'a'.repeat(2 ** 20 + 1)}`),
      code: 'connection-failed',
      message: /more than 1048576/,
    },
    'with an event that is not JSON': {
      answer: sendStream(write(['not JSON', '[DONE]'])),
      code: 'connection-failed',
    },
    'with an HTML page instead of a stream': {
      answer: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      code: 'connection-failed',
    },
    'because the prompt is too long, in the words of dasLLAMA’s server': {
      answer: sendError(400, {
        error: { message: 'the rendered prompt is 807 tokens; the model context is 512' },
      }),
      code: 'prompt-too-long',
    },
  }
  for (const [name, { answer, code, message = /./ }] of Object.entries(failures)) {
    it(`${name} is never a success`, async () => {
      answers.push(answer)
      await expect(generate()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
      expect(requests).toHaveLength(1)
    })
  }

  it('in the middle of a stream does not quote the key either', async () => {
    answers.push(
      sendStream(write([events[0]!, JSON.stringify({ error: { message: 'bad key sk-very-secret' } })])),
    )
    const refused = generate(undefined, { headers: { authorization: 'Bearer sk-very-secret' } })
    await expect(refused).rejects.toMatchObject({
      code: 'generation-failed',
      message: expect.stringMatching(/bad key …/),
    })
  })

  it('because of the API key does not quote the key, even if the server does', async () => {
    answers.push(sendError(401, { error: { message: 'Incorrect API key provided: sk-very-secret.' } }))
    const refused = generate(undefined, { headers: { authorization: 'Bearer sk-very-secret' } })
    await expect(refused).rejects.toMatchObject({
      code: 'connection-failed',
      message: expect.stringMatching(/Incorrect API key provided: …\. Check the "apiKey" of remote\(\)/),
    })
  })

  it('because the server is down ends in connection-failed', async () => {
    close()
    await expect(open()).rejects.toMatchObject({ code: 'connection-failed' })
  })
})

describe('an answer that another model started', () => {
  const resume = {
    handedOver: { text: 'Once', tokens: 1 },
    generated: { text: ' upon', tokens: 2, tokenIds: [] },
  }

  it('is not sent if it has all its tokens already', async () => {
    const { finishReason, text } = await generate({ ...storyRequest({ maxTokens: 3 }), resume })
    expect({ finishReason, text }).toEqual({ finishReason: 'length', text: '' })
    expect(requests).toHaveLength(0)
  })

  it('is sent as the last message, which the server continues', async () => {
    answers.push(sendStream(write(events)))
    await generate({ ...storyRequest({ maxTokens: 10 }), resume })
    expect(requests[0]!.body).toMatchObject({
      messages: [
        { role: 'user', content: 'Tell me a story.' },
        { role: 'assistant', content: 'Once upon' },
      ],
      max_tokens: 7,
      continue_final_message: true,
      add_generation_prompt: false,
    })
  })

  it('is sent after the raw text', async () => {
    answers.push(sendStream(write(events)))
    await generate({ ...textRequest(question), resume })
    expect(requests[0]!.body).toMatchObject({ prompt: 'Tell me a story.Once upon' })
  })
})

describe('an answer that is to be continued', () => {
  const prompt = [{ role: 'user', content: 'Tell me a story.' }] as const

  it('is sent as the last message; maxTokens counts only the new text', async () => {
    answers.push(sendStream(write(events)))
    await generate(chatRequest(prompt, { maxTokens: 10 }, 'Once'))
    expect(requests[0]!.body).toMatchObject({
      messages: [...prompt, { role: 'assistant', content: 'Once' }],
      max_tokens: 10,
      continue_final_message: true,
      add_generation_prompt: false,
    })
  })

  it('includes the text generated before a loss', async () => {
    answers.push(sendStream(write(events)))
    const resume = {
      handedOver: { text: '', tokens: 0 },
      generated: { text: ' upon', tokens: 2, tokenIds: [] },
    }
    await generate({ ...chatRequest(prompt, { maxTokens: 10 }, 'Once'), resume })
    expect(requests[0]!.body).toMatchObject({
      messages: [...prompt, { role: 'assistant', content: 'Once upon' }],
      max_tokens: 8,
    })
  })
})

describe('the durations that a server reports', () => {
  it.each([
    { prompt_ms: 20, predicted_ms: 30 },
    { ttft_ms: 20, gen_ms: 30 },
  ])('are passed on: %j', async (timings) => {
    const reported = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 }, timings }
    answers.push(sendStream(write([...events.slice(0, 3), JSON.stringify(reported), '[DONE]'])))
    const { steps } = await generate()
    expect(steps.at(-1)).toMatchObject({ kind: 'counted', timings: { prefillMs: 20, decodeMs: 30 } })
  })
})

describe('a busy server', () => {
  it('is retried when it asks for that', async () => {
    answers.push(
      sendError(429, 'busy', { 'retry-after': '0' }),
      sendError(503, 'busy', { 'retry-after': '0' }),
    )
    answers.push(sendStream(write(events)))
    expect((await generate()).text).toBe(texts.join(''))
    expect(requests).toHaveLength(3)
  })

  it('is not retried forever', async () => {
    answers.push(...Array.from({ length: 9 }, () => sendError(503, 'busy', { 'retry-after': '0' })))
    await expect(generate()).rejects.toMatchObject({ code: 'connection-failed' })
    expect(requests).toHaveLength(4)
  })
})

describe('a reader', () => {
  const endless: Answer = async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    while (!response.destroyed) {
      response.write(write([chunk('word ')]))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  it('who stops closes the connection at once', async () => {
    answers.push(endless)
    const { backend } = await open()
    const generator = backend.generate(storyRequest(), { signal, queueMs: 0 })
    for (let step = 0; step < 4; step += 1) await generator.next()
    const left = performance.now()
    await generator.return('stop')
    await requests[0]!.closed
    expect(performance.now() - left).toBeLessThan(1000)
  })

  it('who aborts closes it too, while the server is silent', async () => {
    answers.push(
      (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n'),
    )
    const { backend } = await open()
    const abort = new AbortController()
    const generator = backend.generate(storyRequest(), { signal: abort.signal, queueMs: 0 })
    const step = generator.next()
    setTimeout(() => abort.abort(new Error('left')), 50)
    await expect(step).rejects.toThrow('left')
    await requests[0]!.closed
  })

  it('who is slow slows the server down, without an idle timeout', async () => {
    let sentBytes = 0
    answers.push(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const piece = write([chunk('word '.repeat(2000))])
      for (let sent = 0; sent < 2000 && !response.destroyed; sent += 1) {
        sentBytes += piece.length
        if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve))
      }
      response.end(write(['[DONE]']))
    })
    const { backend } = await open({ idleTimeoutMs: 1000 })
    const generator = backend.generate(storyRequest(), { signal, queueMs: 0 })
    for (let step = 0; step < 3; step += 1) await generator.next()
    await new Promise((resolve) => setTimeout(resolve, 2500))
    // Of the 20 MB, only the buffers of the two sockets were filled.
    expect(sentBytes).toBeLessThan(15e6)
    await expect(generator.next()).resolves.toMatchObject({ done: false })
    await generator.return('stop')
  })
})
