// With real HTTP connections and WebSockets, and a server that is written for the test: responses-server.test-support.ts.
import type { ServerResponse } from 'node:http'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { GenerateRequest, RequestMessage } from '../../../lib/contract/request.js'
import type { ResponsesLoadOptions, WebSocketLoadOptions } from '../../../lib/contract/responses-options.js'
import type { GenerationStep } from '../../../lib/contract/worker-api.js'
import { collectAnswer } from '../collect-answer.test-support.js'
import { chatRequest } from '../../request.test-support.js'
import { createResponsesBackend } from './responses-backend.js'
import {
  numberEvents,
  sendMessage,
  startResponsesServer,
  type CreateEvents,
  type ResponsesServer,
} from './responses-server.test-support.js'

/** Node 20 has no WebSocket of its own. Unlike a page's, the one of `ws` throws an `error` event that nobody listens to. */
class PageSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols)
    this.on('error', () => {})
  }
}

const words = ['Once', ' upon 🐉', ' a\ntime', ', there', ' was', ' a "fox".']
const story = words.join('')
const usage = {
  input_tokens: 7,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 6,
  output_tokens_details: { reasoning_tokens: 2 },
}

type Part = Readonly<Record<string, unknown>> & { readonly type: string }

/** A whole response with these events between its head and its end. */
const wrap = (
  id: string,
  parts: readonly Part[],
  end: Part = { type: 'response.completed', response: { id, usage } },
) =>
  numberEvents([
    { type: 'response.created', response: { id, status: 'in_progress' } },
    { type: 'response.in_progress', response: { id, status: 'in_progress' } },
    ...parts,
    end,
  ])

const place = { item_id: 'msg_1', output_index: 0, content_index: 0 }
const say = (delta: string): Part => ({ type: 'response.output_text.delta', ...place, delta })
const message: readonly Part[] = [
  {
    type: 'response.output_item.added',
    output_index: 0,
    item: { id: 'msg_1', type: 'message', content: [] },
  },
  { type: 'response.content_part.added', ...place, part: { type: 'output_text', text: '' } },
  ...words.map(say),
  { type: 'response.output_text.done', ...place, text: story },
  {
    type: 'response.output_item.done',
    output_index: 0,
    item: { id: 'msg_1', type: 'message', content: [{ type: 'output_text', text: story }] },
  },
]

let server: ResponsesServer
let createEvents: CreateEvents
beforeEach(async () => {
  vi.stubGlobal('WebSocket', PageSocket)
  createEvents = (id) => wrap(id, message)
  server = await startResponsesServer((id, body) => createEvents(id, body))
})
afterEach(() => server.close())

async function open(
  options: Partial<ResponsesLoadOptions> = {},
  more: { readonly idleTimeoutMs?: number } = {},
) {
  const backend = createResponsesBackend()
  const { signal } = new AbortController()
  const { info } = await (async () => ({
    info: await backend.load(
      {
        lifeLock: '',
        model: { kind: 'none' },
        download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
        options: {
          baseUrl: server.url,
          model: 'story-model',
          headers: { authorization: 'Bearer secret-key-1' },
          idleTimeoutMs: 5000,
          canContinue: false,
          server: undefined,
          supports: {},
          skipModelList: false,
          allowMissingFinishReason: false,
          extraBody: {},
          ...more,
          transport: { background: false, store: false, webSocket: undefined, ...options },
        },
      },
      { onProgress() {}, onLost() {}, signal },
    ),
  }))()
  return { backend, info }
}

type Backend = Awaited<ReturnType<typeof open>>['backend']

const question = 'Tell me a story.'

/** Reads an answer to its end. */
async function drain(generator: AsyncIterator<GenerationStep>): Promise<readonly GenerationStep[]> {
  const steps: GenerationStep[] = []
  for (let next = await generator.next(); !next.done; next = await generator.next()) steps.push(next.value)
  return steps
}

/** Reads an answer to its end, whichever that is. */
async function answer(
  backend: Backend,
  request: GenerateRequest = chatRequest(question),
  signal = new AbortController().signal,
) {
  const { steps, ...outcome } = await collectAnswer(backend, request, { signal, queueMs: 0 })
  return { ...summarize(steps), ...outcome }
}

function summarize(steps: readonly GenerationStep[]) {
  const chunks = steps.filter((step) => step.kind === 'chunk')
  const calls: string[] = []
  for (const { index, name = '', argumentsDelta } of chunks.flatMap(({ toolCalls = [] }) => toolCalls)) {
    calls[index] = (calls[index] ?? `${name} `) + argumentsDelta
  }
  return {
    text: chunks.map(({ text }) => text).join(''),
    reasoning: chunks.map(({ reasoning = '' }) => reasoning).join(''),
    calls,
    counted: steps.find((step) => step.kind === 'counted'),
    resumptions: steps.filter(({ kind }) => kind === 'resumed').length,
    kinds: [...new Set(steps.map(({ kind }) => kind))],
  }
}

/** Aborts an answer. Its server is left within 100 ms. */
async function expectLeaving(
  generator: AsyncIterator<GenerationStep>,
  cancelling: AbortController,
): Promise<void> {
  const leftAt = performance.now()
  cancelling.abort()
  await expect(drain(generator)).rejects.toThrow('aborted')
  await server.left
  expect(performance.now() - leftAt).toBeLessThan(100)
}

const complete = { text: story, end: 'stop', message: '' }

describe('a response over server-sent events', () => {
  it('arrives as its text, with the server’s counts', async () => {
    const { backend, info } = await open()
    expect(info).toMatchObject({ execution: 'responses-sse', device: 'server', model: 'story-model' })
    expect(await answer(backend)).toMatchObject({
      ...complete,
      kinds: ['started', 'chunk', 'counted'],
      counted: { promptTokens: 7, cachedPromptTokens: 4, completionTokens: 6, reasoningTokens: 2 },
    })
  })

  it('is requested with the API’s own fields', async () => {
    const schema = {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    }
    const loose = { type: 'object', properties: { city: { type: 'string' } } }
    const messages: readonly RequestMessage[] = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } }],
      },
      { role: 'tool', content: 'sunny', tool_call_id: 'call_1' },
      { role: 'assistant', content: 'Sunny.' },
      { role: 'user', content: 'And now?' },
    ]
    const { backend } = await open()
    await answer(
      backend,
      chatRequest(messages, {
        maxTokens: 9,
        temperature: 0.5,
        topP: 0.9,
        responseFormat: { kind: 'json-schema', schema },
        tools: [{ name: 'weather', description: 'Tells the weather.', parameters: loose }],
        toolChoice: { name: 'weather' },
        parallelToolCalls: false,
        reasoning: 'off',
      }),
    )
    expect(server.bodies).toEqual([
      {
        model: 'story-model',
        stream: true,
        store: false,
        input: [
          { type: 'message', role: 'system', content: 'Be brief.' },
          { type: 'message', role: 'user', content: 'Weather?' },
          { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{}' },
          { type: 'function_call_output', call_id: 'call_1', output: 'sunny' },
          { type: 'message', role: 'assistant', content: 'Sunny.' },
          { type: 'message', role: 'user', content: 'And now?' },
        ],
        max_output_tokens: 9,
        temperature: 0.5,
        top_p: 0.9,
        text: { format: { type: 'json_schema', name: 'answer', schema, strict: true } },
        tools: [
          {
            type: 'function',
            name: 'weather',
            description: 'Tells the weather.',
            parameters: loose,
            strict: false,
          },
        ],
        tool_choice: { type: 'function', name: 'weather' },
        parallel_tool_calls: false,
        reasoning: { effort: 'none' },
      },
    ])
  })

  const call = { item_id: 'fc_1', output_index: 1 }
  const callItem = { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '' }
  it.each<[name: string, parts: readonly Part[], end: Part | undefined, expected: object]>([
    [
      'reasoning',
      [
        { type: 'response.reasoning_text.delta', output_index: 0, content_index: 0, delta: 'Hm' },
        { type: 'response.reasoning_text.done', output_index: 0, content_index: 0, text: 'Hm.' },
        { type: 'response.reasoning_summary_text.delta', output_index: 0, summary_index: 0, delta: ' So.' },
        { ...say('Hi'), output_index: 1 },
      ],
      undefined,
      { text: 'Hi', reasoning: 'Hm. So.', end: 'stop' },
    ],
    [
      'a tool call in deltas',
      [
        { type: 'response.output_item.added', output_index: 1, item: callItem },
        { type: 'response.function_call_arguments.delta', ...call, delta: '{"a"' },
        { type: 'response.function_call_arguments.delta', ...call, delta: ':1}' },
        { type: 'response.function_call_arguments.done', ...call, arguments: '{"a":1}' },
        { type: 'response.output_item.done', output_index: 1, item: { ...callItem, arguments: '{"a":1}' } },
      ],
      undefined,
      { text: '', calls: ['weather {"a":1}'], end: 'tool-calls' },
    ],
    [
      'a tool call in one piece',
      [{ type: 'response.output_item.done', output_index: 1, item: { ...callItem, arguments: '{"a":1}' } }],
      undefined,
      { calls: ['weather {"a":1}'], end: 'tool-calls' },
    ],
    [
      'a text without deltas',
      [{ type: 'response.output_text.done', ...place, text: story }],
      undefined,
      { text: story, end: 'stop' },
    ],
    [
      'a text only in the whole response',
      [],
      {
        type: 'response.completed',
        response: {
          id: 'resp_1',
          output: [{ type: 'message', content: [{ type: 'output_text', text: story }] }],
        },
      },
      { text: story, end: 'stop' },
    ],
    [
      'a refusal',
      [{ type: 'response.refusal.delta', ...place, delta: 'No.' }],
      undefined,
      { text: 'No.', end: 'stop' },
    ],
    [
      'unknown events',
      [{ type: 'response.audio.delta', delta: 'AA' }, say('Hi')],
      undefined,
      { text: 'Hi', end: 'stop' },
    ],
    [
      'an answer at its maximum length',
      [say('Hi')],
      {
        type: 'response.incomplete',
        response: { incomplete_details: { reason: 'max_output_tokens' }, usage },
      },
      { text: 'Hi', end: 'length' },
    ],
    [
      'an answer that a filter ended',
      [say('Hi')],
      { type: 'response.incomplete', response: { incomplete_details: { reason: 'content_filter' } } },
      { text: 'Hi', end: 'content-filter' },
    ],
    [
      'an answer that is incomplete for an unknown reason',
      [say('Hi')],
      { type: 'response.incomplete', response: {} },
      { text: 'Hi', end: 'generation-failed' },
    ],
    [
      'a failed response',
      [say('Hi')],
      {
        type: 'response.failed',
        response: { error: { code: 'server_error', message: 'Out of secret-key-1 memory' } },
      },
      { text: 'Hi', end: 'generation-failed', message: expect.stringContaining('Out of … memory') },
    ],
    [
      'a rate limit in mid-stream',
      [say('Hi')],
      { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'Slow down' } } },
      { text: 'Hi', end: 'connection-failed' },
    ],
    [
      'an error event',
      [say('Hi')],
      { type: 'error', code: 'context_length_exceeded', message: 'Too long' },
      { text: 'Hi', end: 'prompt-too-long' },
    ],
    [
      'a cancelled response',
      [say('Hi')],
      { type: 'response.cancelled', response: {} },
      { text: 'Hi', end: 'generation-failed' },
    ],
  ])('is read with %s', async (_, parts, end, expected) => {
    createEvents = (id) => wrap(id, parts, end)
    const { backend } = await open()
    expect(await answer(backend)).toMatchObject(expected)
  })

  it('that is completed with its maximum of tokens was cut there (llama.cpp)', async () => {
    const { backend } = await open()
    expect(await answer(backend, chatRequest(question, { maxTokens: 6 }))).toMatchObject({ end: 'length' })
    expect(await answer(backend, chatRequest(question, { maxTokens: 7 }))).toMatchObject({ end: 'stop' })
  })

  it('has no form with llama.cpp’s server, which ignores it', async () => {
    expect((await open()).info.supports.options).toContain('responseFormat')
    server.ownedBy = 'llamacpp'
    const { supports } = (await open()).info
    expect(supports.options).not.toContain('responseFormat')
    expect(supports.hints?.responseFormat).toContain('sse()')
  })

  it('is incomplete without its last event', async () => {
    createEvents = (id) => wrap(id, message).slice(0, -1)
    const { backend } = await open()
    expect(await answer(backend)).toMatchObject({ text: story, end: 'connection-failed' })
  })

  it('that is cancelled closes its connection', async () => {
    createEvents = (id) => wrap(id, [say('Once')])
    server.replies.push((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const events = wrap('resp_1', [say('Once')]).slice(0, -1)
      response.write(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''))
    })
    const { backend } = await open()
    const cancelling = new AbortController()
    const generator = backend.generate(chatRequest(question), { signal: cancelling.signal, queueMs: 0 })
    await generator.next()
    await generator.next()
    await expectLeaving(generator, cancelling)
  })

  it.each([false, true])(
    'that is cut at any byte is never a success with a part of its text (RST: %s)',
    async (resets) => {
      server.resets = resets
      const { backend } = await open()
      const ends = new Map<string, number>()
      // Before its first event a request is sent again, after a pause: fewer of these.
      for (let cut = 1; cut < 2400; cut += cut < 150 ? 40 : 11) {
        server.cuts.push(cut)
        const { text, end } = await answer(backend)
        server.cuts.length = 0
        ends.set(end, (ends.get(end) ?? 0) + 1)
        if (end === 'stop') expect(text, `cut after ${cut} bytes`).toBe(story)
        else
          expect({ end, isStart: story.startsWith(text) }).toEqual({
            end: 'connection-failed',
            isStart: true,
          })
      }
      expect(ends.get('connection-failed')).toBeGreaterThan(100)
    },
  )

  it('that is silent fails', async () => {
    server.replies.push((response) => void response.writeHead(200).flushHeaders())
    const { backend } = await open({}, { idleTimeoutMs: 50 })
    expect(await answer(backend)).toMatchObject({
      end: 'connection-failed',
      message: expect.stringContaining('50 ms'),
    })
  })

  it('that nobody reads pauses the server', async () => {
    let writtenBytes = 0
    server.replies.push((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const event = `data: ${JSON.stringify(say('x'.repeat(10_000)))}\n\n`
      const write = () => {
        while (!response.destroyed) {
          writtenBytes += event.length
          if (!response.write(event)) return void response.once('drain', write)
        }
      }
      write()
    })
    const { backend } = await open()
    const generator = backend.generate(chatRequest(question), {
      signal: new AbortController().signal,
      queueMs: 0,
    })
    await generator.next()
    let before = -1
    while (before !== writtenBytes) {
      before = writtenBytes
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(16 * 2 ** 20)
    await generator.return('stop')
  })

  it('has the same text for the official client: the test’s server speaks the protocol', async () => {
    const client = new OpenAI({ baseURL: server.url, apiKey: 'key' })
    const stream = await client.responses.create({ model: 'story-model', input: question, stream: true })
    let text = ''
    for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta
    expect(text).toBe(story)
  })
})

describe('a background response', () => {
  const background = { background: true, store: true }

  it('is taken up again where its connection broke, at any byte', async () => {
    const { backend } = await open(background)
    // Behind the first event: without the response's id, nothing can be taken up.
    const first = 150
    const lengths = Array.from({ length: 50 }, (_, index) => first + index * 37)
    for (const length of lengths) {
      server.cuts.push(length)
      expect(await answer(backend), `cut after ${length} bytes`).toMatchObject({
        ...complete,
        resumptions: 1,
      })
    }
    expect(server.bodies.every((body) => body.background === true && body.store === true)).toBe(true)
  })

  it('is taken up as often as it breaks', async () => {
    server.cuts.push(400, 400, 400)
    const { backend } = await open(background)
    expect(await answer(backend)).toMatchObject({ ...complete, resumptions: 3 })
    expect(server.requests[1]).toMatch(/^GET \/v1\/responses\/resp_1\?stream=true&starting_after=\d+$/)
  })

  it('fails as its connection did if the server no longer has it', async () => {
    server.cuts.push(400)
    const { backend } = await open(background)
    server.replies.push(
      ...[undefined, 404].map((status) => (response: ServerResponse) => {
        if (status !== undefined)
          return void response.writeHead(status).end('{"error":{"message":"expired"}}')
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const events = wrap('resp_9', message).slice(0, 6)
        const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
        response.write(body, () => response.destroy())
      }),
    )
    const failed = await answer(backend)
    expect(failed).toMatchObject({ end: 'connection-failed', resumptions: 0 })
    expect(failed.message).not.toContain('expired')
    expect(story.startsWith(failed.text) && failed.text !== '').toBe(true)
  })

  it('that is not a background response is not taken up', async () => {
    server.cuts.push(600)
    const { backend } = await open()
    expect(await answer(backend)).toMatchObject({ end: 'connection-failed', resumptions: 0 })
    expect(server.requests).toEqual(['POST /v1/responses'])
  })

  it('is cancelled on the server when its reader leaves', async () => {
    server.replies.push((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const events = wrap('resp_1', [say('Once')]).slice(0, -1)
      response.write(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''))
    })
    const { backend } = await open(background)
    const cancelling = new AbortController()
    const generator = backend.generate(chatRequest(question), { signal: cancelling.signal, queueMs: 0 })
    await generator.next()
    cancelling.abort()
    await expect(drain(generator)).rejects.toThrow('aborted')
    await expect.poll(() => server.requests).toContain('POST /v1/responses/resp_1/cancel')
  })
})

describe('a response that the server keeps', () => {
  const user = (content: string) => ({ role: 'user', content }) as const
  const first = [user('Hi')]
  const second = [...first, { role: 'assistant', content: story } as const, user('And then?')]

  it('is named instead of sending its conversation again', async () => {
    const { backend } = await open({ store: true })
    await answer(backend, chatRequest(first))
    await answer(backend, chatRequest(second))
    expect(server.bodies[1]).toMatchObject({
      previous_response_id: 'resp_1',
      input: [{ role: 'user', content: 'And then?' }],
    })
  })

  it('is sent again if the conversation was changed, or if the server has forgotten it', async () => {
    const { backend } = await open({ store: true })
    await answer(backend, chatRequest(first))
    const changed = [...first, { role: 'assistant', content: 'Other.' } as const, user('And then?')]
    await answer(backend, chatRequest(changed))
    expect(server.bodies[1]).not.toHaveProperty('previous_response_id')
    server.replies.push((response) => {
      const error = {
        code: 'previous_response_not_found',
        message: "Previous response with id 'resp_1' not found.",
      }
      response.writeHead(400).end(JSON.stringify({ error }))
    })
    expect(await answer(backend, chatRequest(second))).toMatchObject(complete)
    expect(server.bodies[2]).not.toHaveProperty('previous_response_id')
    expect(server.bodies[2]).toMatchObject({ input: [{}, {}, { content: 'And then?' }] })
  })
})

describe('a response over a WebSocket', () => {
  const webSocket: WebSocketLoadOptions = {
    protocols: [],
    query: {},
    multiplex: false,
    maxUnreadLength: 2 ** 20,
  }
  const openSocket = (more: Partial<WebSocketLoadOptions> = {}, idleTimeoutMs = 5000) =>
    open({ webSocket: { ...webSocket, ...more } }, { idleTimeoutMs })

  it('arrives as its text; the socket serves many requests', async () => {
    const { backend, info } = await openSocket()
    expect(info).toMatchObject({ execution: 'responses-websocket', supports: { concurrency: 1 } })
    for (let count = 0; count < 3; count += 1) expect(await answer(backend)).toMatchObject(complete)
    expect(server.sockets).toHaveLength(1)
    expect(server.bodies[0]).toEqual({
      type: 'response.create',
      model: 'story-model',
      store: false,
      input: [{ type: 'message', role: 'user', content: question }],
    })
  })

  it('offers the key as a subprotocol or in the query', async () => {
    let seen: readonly (string | undefined)[] = []
    server.onUpgrade = ({ url, headers }) => {
      seen = [url, headers['sec-websocket-protocol'], headers.authorization]
      return undefined
    }
    const { backend } = await openSocket({
      protocols: ['realtime', 'key.secret-key-2'],
      query: { key: 'secret-key-3' },
    })
    expect(await answer(backend)).toMatchObject(complete)
    expect(seen).toEqual(['/v1/responses?key=secret-key-3', 'realtime,key.secret-key-2', undefined])
  })

  it('runs beside others on one socket if the server tells them apart', async () => {
    const waiting: (() => void)[] = []
    server.onMessage = (socket, body) => {
      const events = wrap('resp', message)
      waiting.push(...events.map((event) => () => sendMessage(socket, event, body)))
    }
    const { backend, info } = await openSocket({ multiplex: true })
    expect(info.supports.concurrency).toBeGreaterThan(1)
    const answers = Promise.all([answer(backend), answer(backend), answer(backend)])
    await expect.poll(() => server.bodies.length).toBe(3)
    const each = waiting.length / 3
    for (let index = 0; index < each; index += 1)
      for (let lane = 0; lane < 3; lane += 1) waiting[lane * each + index]!()
    expect(await answers).toMatchObject([complete, complete, complete])
    expect(server.sockets).toHaveLength(1)
    expect(new Set(server.bodies.map(({ stream_id: id }) => id)).size).toBe(3)
  })

  it.each([
    [1000, 'connection-failed', /code 1000/],
    [1002, 'connection-failed', /protocol error/],
    [1008, 'connection-failed', /"protocols" or "query"/],
    [1009, 'connection-failed', /Shorten the prompt/],
    [1011, 'connection-failed', /the server failed/],
    [3000, 'connection-failed', /"protocols" or "query"/],
    [4321, 'connection-failed', /code 4321/],
  ])('that is closed with %i ends with %s', async (code, expected, pattern) => {
    server.onMessage = (socket) => socket.close(code, 'no secret-key-2 here')
    const { backend } = await openSocket({ protocols: ['secret-key-2'] })
    const failed = await answer(backend)
    expect(failed).toMatchObject({ text: '', end: expected, message: expect.stringMatching(pattern) })
    expect(failed.message).toContain('no … here')
    // The next request opens another socket.
    server.onMessage = undefined
    expect(await answer(backend)).toMatchObject(complete)
  })

  it.each([1001, 1012, 1013, 'terminate'] as const)(
    'is requested again if the socket is lost before the first event: %s',
    async (how) => {
      server.onMessage = (socket) => {
        server.onMessage = undefined
        if (how === 'terminate') socket.terminate()
        else socket.close(how)
      }
      const { backend } = await openSocket()
      expect(await answer(backend)).toMatchObject(complete)
      expect(server.sockets).toHaveLength(2)
    },
  )

  it('is not requested again after its first event', async () => {
    server.onMessage = (socket, body) => {
      for (const event of wrap('resp', message).slice(0, 6)) sendMessage(socket, event, body)
      socket.close(1012)
    }
    const { backend } = await openSocket()
    expect(await answer(backend)).toMatchObject({ text: 'Once upon 🐉', end: 'connection-failed' })
    expect(server.bodies).toHaveLength(1)
  })

  it('fails if no socket can be opened', async () => {
    server.onUpgrade = () => 403
    const { backend } = await openSocket()
    expect(await answer(backend)).toMatchObject({
      end: 'connection-failed',
      message: expect.stringContaining('could not be reached'),
    })
  })

  it('that is cancelled closes its socket, and the next request opens another', async () => {
    server.onMessage = (socket, body) => {
      for (const event of wrap('resp', message).slice(0, 6)) sendMessage(socket, event, body)
    }
    const { backend } = await openSocket()
    const cancelling = new AbortController()
    const generator = backend.generate(chatRequest(question), { signal: cancelling.signal, queueMs: 0 })
    await generator.next()
    await expectLeaving(generator, cancelling)
    server.onMessage = undefined
    expect(await answer(backend)).toMatchObject(complete)
  })

  it('that is cut after any event is never a success with a part of its text', async () => {
    const { backend } = await openSocket()
    const events = wrap('resp', message)
    for (let count = 1; count < events.length; count += 1) {
      server.onMessage = (socket, body) => {
        for (const event of events.slice(0, count)) sendMessage(socket, event, body)
        // What was sent before arrives.
        socket.ping(undefined, undefined, () => socket.terminate())
      }
      const { text, end } = await answer(backend)
      expect({ end, isStart: story.startsWith(text) }, `cut after ${count} events`).toEqual({
        end: 'connection-failed',
        isStart: true,
      })
    }
  })

  it('that is silent fails', async () => {
    server.onMessage = () => {}
    const { backend } = await openSocket({}, 50)
    expect(await answer(backend)).toMatchObject({
      end: 'connection-failed',
      message: expect.stringContaining('50 ms'),
    })
  })

  it('that nobody reads fails at a stated length, with the text that was read', async () => {
    server.onMessage = (socket, body) => {
      for (const event of wrap(
        'resp',
        Array.from({ length: 500 }, () => say('x'.repeat(100))),
      ))
        sendMessage(socket, event, body)
    }
    const { backend } = await openSocket({ maxUnreadLength: 20_000 })
    const generator = backend.generate(chatRequest(question), {
      signal: new AbortController().signal,
      queueMs: 0,
    })
    await generator.next()
    await new Promise((resolve) => setTimeout(resolve, 200))
    const steps: GenerationStep[] = []
    const reading = (async () => {
      for (let next = await generator.next(); !next.done; next = await generator.next())
        steps.push(next.value)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'connection-failed',
      message: expect.stringContaining('20000'),
    })
    expect(steps.length).toBeGreaterThan(0)
  })

  it('ends with the code of an error event', async () => {
    server.onMessage = (socket, body) =>
      sendMessage(
        socket,
        { type: 'error', error: { code: 'rate_limit_exceeded', message: 'Slow down' } },
        body,
      )
    const { backend } = await openSocket()
    expect(await answer(backend)).toMatchObject({
      end: 'connection-failed',
      message: expect.stringContaining('Slow down'),
    })
  })
})
