// OpenAI's unchanged client with a scripted engine: what it sees as from api.openai.com. openai.spec.ts has a real model.
import OpenAI, { APIConnectionTimeoutError, APIError, APIUserAbortError, RateLimitError } from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'
import { RivuletError } from './contract/errors.js'
import { openaiFetch } from './openai.js'

const words = ['Once', ' upon', ' a', ' time']
const messages = [{ role: 'user', content: 'Tell me a story.' }] as const
const asked = { model: 'local', messages: [...messages] }

function open(answer: () => Script = () => ({ words }), options: { readonly maxRetries?: number } = {}) {
  const engine = createScriptedEngine(answer)
  const fetch = vi.fn(openaiFetch(engine))
  const connection = { baseURL: 'https://local.example/v1', apiKey: 'local', dangerouslyAllowBrowser: true }
  const client = new OpenAI({ ...connection, fetch, ...options })
  return { engine, fetch, client }
}

const failing =
  (code: 'generation-failed' | 'queue-full', message = 'broken') =>
  () => ({
    words: [],
    end: new RivuletError(code, message),
  })

async function catchError(promise: Promise<unknown>): Promise<APIError> {
  const error = await promise.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(APIError)
  return error as APIError
}

describe('the helpers of OpenAI’s client', () => {
  it('.stream() emits its events, and has the final completion', async () => {
    const { client } = open()
    const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } })
    const deltas: string[] = []
    stream.on('content', (delta) => deltas.push(delta))
    const final = await stream.finalChatCompletion()
    expect(deltas.filter((delta) => delta !== '')).toEqual(words)
    expect(final.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { role: 'assistant', content: words.join('') },
    })
    expect(await stream.totalUsage()).toMatchObject({ completion_tokens: words.length })
  })

  it('.stream() survives toReadableStream() and fromReadableStream()', async () => {
    const { client } = open()
    const sent = client.chat.completions.stream(asked).toReadableStream()
    const { ChatCompletionStream } = await import('openai/lib/ChatCompletionStream')
    const received = ChatCompletionStream.fromReadableStream(sent)
    expect(await received.finalContent()).toBe(words.join(''))
  })

  it('.parse() works for text', async () => {
    const { client } = open()
    const parsed = await client.chat.completions.parse({ ...asked })
    expect(parsed.choices[0]?.message).toMatchObject({ content: words.join(''), parsed: null })
  })

  it('.parse() has the value of a schema', async () => {
    const { client, engine } = open(() => ({ words: ['{"city":', '"Bern"}'] }))
    const response_format = zodResponseFormat(z.object({ city: z.string() }), 'place')
    const parsed = await client.chat.completions.parse({ ...asked, response_format })
    expect(parsed.choices[0]?.message.parsed).toEqual({ city: 'Bern' })
    const streamed = client.chat.completions.stream({ ...asked, response_format })
    expect((await streamed.finalChatCompletion()).choices[0]?.message.parsed).toEqual({ city: 'Bern' })
    expect(engine.requests[0]?.options.responseFormat).toMatchObject({
      kind: 'json-schema',
      schema: { type: 'object', properties: { city: { type: 'string' } } },
    })
  })

  it.each([false, true])(
    '.runTools() calls the functions of the app, and gets the answer: stream %s',
    async (stream) => {
      const scripts: Script[] = [
        {
          words: [
            { reasoning: 'Hm.' },
            { toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '' }] },
            { toolCalls: [{ index: 0, argumentsDelta: '{"at":' }] },
            { toolCalls: [{ index: 0, argumentsDelta: '"Bern"}' }] },
          ],
          end: 'tool-calls',
        },
        { words: ['It is sunny.'] },
      ]
      const { client, engine } = open(() => scripts.shift()!)
      const calls: unknown[] = []
      const tool = {
        name: 'look',
        description: 'Looks.',
        parameters: { type: 'object', properties: { at: { type: 'string' } } },
        parse: JSON.parse as (text: string) => object,
        function: (at: object) => {
          calls.push(at)
          return 'sunny'
        },
      }
      const tools = [{ type: 'function', function: tool } as const]
      const runner = stream
        ? client.chat.completions.runTools({ ...asked, tools, stream })
        : client.chat.completions.runTools({ ...asked, tools })
      expect(await runner.finalContent()).toBe('It is sunny.')
      expect(calls).toEqual([{ at: 'Bern' }])
      expect(engine.requests[0]?.options).toMatchObject({ tools: [{ name: 'look', description: 'Looks.' }] })
      expect(engine.requests[1]?.prompt).toMatchObject([
        messages[0],
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ id: 'a', function: { name: 'look', arguments: '{"at":"Bern"}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'sunny' },
      ])
    },
  )

  it.each<[Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>, string]>([
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ tools: [{ type: 'function', function: { name: 'look' } }] }, 'tools'],
    [{ reasoning_effort: 'high' }, 'reasoning_effort'],
  ])(
    'that demand what the engine cannot do are refused by the name of the field: %j',
    async (fields, param) => {
      const { client, engine } = open()
      Object.assign(engine.info, { supports: { ...engine.info.supports, options: [] } })
      const error = await catchError(client.chat.completions.create({ ...asked, ...fields }))
      expect(error).toMatchObject({ status: 400, param, code: 'invalid_value' })
      expect(error.message).toContain(`"${param}"`)
    },
  )

  it('that demand nothing are accepted by every engine', async () => {
    const { client, engine } = open()
    Object.assign(engine.info, { supports: { ...engine.info.supports, options: [] } })
    const { choices } = await client.chat.completions.create({
      ...asked,
      reasoning_effort: 'none',
      tools: [{ type: 'function', function: { name: 'look' } }],
      tool_choice: 'none',
    })
    expect(choices[0]?.message.content).toBe(words.join(''))
  })

  it('.withResponse() has the response and its request id', async () => {
    const { client } = open()
    const { response, request_id } = await client.chat.completions.create(asked).withResponse()
    expect(response.status).toBe(200)
    expect(request_id).toMatch(/^req_[0-9a-f]{32}$/)
    const streamed = await client.chat.completions.create({ ...asked, stream: true }).withResponse()
    expect(streamed.request_id).toMatch(/^req_/)
    expect(streamed.request_id).not.toBe(request_id)
    for await (const _ of streamed.data);
    const error = await catchError(client.chat.completions.create({ ...asked, n: 0 }))
    expect(error.requestID).toMatch(/^req_/)
  })

  it('abort() ends a stream with the client’s error, and cancels the generation', async () => {
    const { client } = open(() => ({ words, end: 'silence' }))
    const stream = client.chat.completions.stream(asked)
    stream.on('content', () => stream.abort())
    await expect(stream.done()).rejects.toBeInstanceOf(APIUserAbortError)
  })

  it('a timeout is the client’s error', async () => {
    const { client } = open(() => ({ words: [], end: 'silence' }), { maxRetries: 0 })
    const slow = client.chat.completions.create(asked, { timeout: 50 })
    await expect(slow).rejects.toBeInstanceOf(APIConnectionTimeoutError)
  })
})

describe('several answers to one prompt', () => {
  const counted = () => {
    let requests = 0
    return open(() => {
      requests += 1
      return { words: [`answer ${requests}:`, ...words] }
    })
  }
  const texts = [1, 2, 3].map((number) => `answer ${number}:${words.join('')}`)

  it('are the choices of a chat, with a seed for each, and their prompt counts once', async () => {
    const { client, engine } = counted()
    const { choices, usage } = await client.chat.completions.create({ ...asked, n: 3, seed: 2 ** 32 - 2 })
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(choices.map(({ message }) => message.content)).toEqual(texts)
    expect(engine.requests.map(({ options }) => options.seed)).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 0])
    const one = await client.chat.completions.create(asked)
    expect(usage).toMatchObject({
      prompt_tokens: one.usage?.prompt_tokens,
      completion_tokens: 3 * one.usage!.completion_tokens,
    })
  })

  it('are streamed at the same time, each with its role, its text and its end', async () => {
    const { client } = counted()
    const stream = await client.chat.completions.create({
      ...asked,
      n: 3,
      stream: true,
      stream_options: { include_usage: true },
    })
    const seen: Record<number, { roles: number; text: string; ends: number }> = {}
    const order: number[] = []
    for await (const { choices } of stream) {
      for (const { index, delta, finish_reason: end } of choices) {
        const answer = (seen[index] ??= { roles: 0, text: '', ends: 0 })
        if (delta.role) answer.roles += 1
        if (delta.content) order.push(index)
        answer.text += delta.content ?? ''
        if (end) answer.ends += 1
      }
    }
    expect(Object.values(seen)).toEqual(texts.map((text) => ({ roles: 1, text, ends: 1 })))
    expect(order.slice(0, 6).toSorted()).toEqual([0, 0, 1, 1, 2, 2])
  })

  it('follow the prompts of a completion', async () => {
    const { client } = counted()
    const { choices } = await client.completions.create({ model: 'local', prompt: ['a', 'b'], n: 2 })
    expect(choices.map(({ index, text }) => [index, text.slice(0, 9)])).toEqual([
      [0, 'answer 1:'],
      [1, 'answer 2:'],
      [2, 'answer 3:'],
      [3, 'answer 4:'],
    ])
  })

  it('end together if one of them fails', async () => {
    let requests = 0
    const { client, engine } = open(() => {
      requests += 1
      return requests === 2
        ? { words: [], end: new RivuletError('generation-failed', 'broken') }
        : { words, end: 'silence' }
    })
    const error = await catchError(client.chat.completions.create({ ...asked, n: 3 }))
    expect(error.code).toBe('generation-failed')
    expect(engine.requests).toHaveLength(3)
  })
})

describe('the retries of OpenAI’s client', () => {
  it('do not repeat a failure that would happen again', async () => {
    const { client, fetch } = open(failing('generation-failed'))
    const error = await catchError(client.chat.completions.create(asked))
    expect(error).toMatchObject({ status: 500, code: 'generation-failed', type: 'server_error' })
    expect(error.headers?.get('x-should-retry')).toBe('false')
    expect(fetch).toHaveBeenCalledTimes(1)
  })

  it('repeat a request that found a full queue', async () => {
    let requests = 0
    const { client, fetch } = open(() => {
      requests += 1
      return requests === 1 ? failing('queue-full')() : { words }
    })
    const { choices } = await client.chat.completions.create(asked)
    expect(choices[0]?.message.content).toBe(words.join(''))
    expect(fetch).toHaveBeenCalledTimes(2)
  })

  it('see the type of a rate limit', async () => {
    const { client } = open(failing('queue-full'), { maxRetries: 0 })
    const error = await catchError(client.chat.completions.create(asked))
    expect(error).toBeInstanceOf(RateLimitError)
    expect(error).toMatchObject({ type: 'rate_limit_exceeded', code: 'rate_limit_exceeded' })
  })
})

describe('the routes of OpenAI’s API', () => {
  it('have the model by its name', async () => {
    const { client } = open()
    expect(await client.models.retrieve('local')).toMatchObject({ id: 'local', object: 'model' })
    expect(await catchError(client.models.retrieve('gpt-9'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
    })
  })

  it('that are unknown, or have another method, have codes of their own', async () => {
    const { fetch } = open()
    const ask = async (path: string, method: string) => {
      const response = await fetch(`https://local.example/v1/${path}`, { method })
      const { error } = (await response.json()) as { error: { code: string; type: string } }
      return [response.status, error.code, error.type]
    }
    expect(await ask('files', 'GET')).toEqual([404, 'unknown_url', 'invalid_request_error'])
    expect(await ask('chat/completions', 'GET')).toEqual([
      405,
      'method_not_supported',
      'invalid_request_error',
    ])
  })

  it('answer a list of prompts in order, streamed and as a whole', async () => {
    const { client, engine } = open()
    const prompt = ['One', 'Two', 'Three']
    const whole = await client.completions.create({ model: 'local', prompt })
    expect(whole.choices.map(({ index, text }) => [index, text])).toEqual(
      [0, 1, 2].map((index) => [index, words.join('')]),
    )
    expect(whole.usage?.completion_tokens).toBe(3 * words.length)
    expect(engine.requests.map((request) => request.prompt)).toEqual(prompt)
    expect(engine.requests[0]?.options.maxTokens).toBe(16)
    const texts = ['', '', '']
    const ends: number[] = []
    const stream = await client.completions.create({ model: 'local', prompt, stream: true })
    for await (const { choices } of stream) {
      for (const { index, text, finish_reason: reason } of choices) {
        texts[index] += text
        if (reason) ends.push(index)
      }
    }
    expect(texts).toEqual(prompt.map(() => words.join('')))
    expect(ends).toEqual([0, 1, 2])
  })
})

describe('a completion without max_tokens', () => {
  it('has no limit from an engine that knows none', async () => {
    const { client, engine } = open()
    Object.assign(engine.info, { supports: { ...engine.info.supports, options: [] } })
    expect((await client.completions.create({ model: 'local', prompt: 'One' })).choices[0]?.text).toBe(
      words.join(''),
    )
    expect(engine.requests[0]?.options.maxTokens).toBeUndefined()
  })
})

describe('the Responses API', () => {
  const request = { model: 'local', input: 'Tell me a story.' } as const

  it('answers as a whole, with OpenAI’s object', async () => {
    const { client, engine } = open()
    const response = await client.responses.create({
      ...request,
      instructions: 'Be kind.',
      max_output_tokens: 9,
      temperature: 0,
      store: true,
    })
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      output_text: words.join(''),
      instructions: 'Be kind.',
      max_output_tokens: 9,
      usage: { output_tokens: words.length },
      output: [{ type: 'message', role: 'assistant', status: 'completed' }],
    })
    expect(engine.requests[0]).toMatchObject({
      prompt: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Tell me a story.' },
      ],
      options: { maxTokens: 9, temperature: 0 },
    })
  })

  it('streams the events of OpenAI’s documentation, which the client’s helper adds up', async () => {
    const { client } = open()
    const types: string[] = []
    const numbers: number[] = []
    const stream = client.responses.stream(request)
    for await (const event of stream) {
      types.push(event.type)
      numbers.push(event.sequence_number)
    }
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(numbers).toEqual(numbers.map((_, index) => index))
    const final = await stream.finalResponse()
    expect(final).toMatchObject({ status: 'completed', output_text: words.join('') })
  })

  it('has reasoning and function calls as items of their own', async () => {
    const script = {
      words: [
        { reasoning: 'Hm.' },
        'I look.',
        { toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '' }] },
        { toolCalls: [{ index: 0, argumentsDelta: '{}' }] },
      ],
      end: 'tool-calls',
    } as const
    const { client } = open(() => script)
    const items = [
      { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Hm.' }] },
      { type: 'message', content: [{ type: 'output_text', text: 'I look.' }] },
      { type: 'function_call', call_id: 'a', name: 'look', arguments: '{}', status: 'completed' },
    ]
    expect((await client.responses.create(request)).output).toMatchObject(items)
    expect((await client.responses.stream(request).finalResponse()).output).toMatchObject(items)
  })

  it('that is cut off at its limit is incomplete', async () => {
    const { client } = open(() => ({ words, end: 'length' }))
    const cut = {
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: words.join(''),
    }
    expect(await client.responses.create(request)).toMatchObject(cut)
    const types: string[] = []
    for await (const { type } of await client.responses.create({ ...request, stream: true })) types.push(type)
    expect(types.at(-1)).toBe('response.incomplete')
  })

  it('that fails is the client’s error, before and after its first event', async () => {
    const { client } = open(failing('generation-failed'))
    expect(await catchError(client.responses.create(request))).toMatchObject({
      status: 500,
      code: 'generation-failed',
    })
    const late = open(() => ({ words, end: new RivuletError('generation-failed', 'broken') }))
    let text = ''
    const read = async () => {
      for await (const event of await late.client.responses.create({ ...request, stream: true })) {
        if (event.type === 'response.output_text.delta') text += event.delta
      }
    }
    expect(await catchError(read())).toMatchObject({ code: 'generation-failed' })
    expect(text).toBe(words.join(''))
  })

  it('has a form, which .parse() reads', async () => {
    const { client, engine } = open(() => ({ words: ['{"city":', '"Bern"}'] }))
    const text = { format: zodTextFormat(z.object({ city: z.string() }), 'place') }
    const response = await client.responses.parse({ ...request, text })
    expect(response.output_parsed).toEqual({ city: 'Bern' })
    expect(response.text?.format).toMatchObject({ type: 'json_schema', name: 'place' })
    expect(engine.requests[0]?.options.responseFormat).toMatchObject({
      schema: { properties: { city: { type: 'string' } } },
    })
  })

  it('takes tools, and the items of their calls and results', async () => {
    const { client, engine } = open()
    const parameters = { type: 'object', properties: {} }
    const tool = { type: 'function', name: 'look', description: 'Looks.', parameters, strict: true } as const
    const response = await client.responses.create({
      model: 'local',
      tools: [tool],
      tool_choice: { type: 'function', name: 'look' },
      parallel_tool_calls: false,
      reasoning: { effort: 'low' },
      input: [
        { role: 'user', content: 'Weather?' },
        {
          type: 'reasoning',
          id: 'rs_1',
          summary: [],
          content: [{ type: 'reasoning_text', text: 'Hm.' }],
        },
        { role: 'assistant', content: 'I look.' },
        { type: 'function_call', call_id: 'a', name: 'look', arguments: '{}' },
        { type: 'function_call', call_id: 'b', name: 'look', arguments: '{"at":"Bern"}' },
        { type: 'function_call_output', call_id: 'a', output: 'sunny' },
        { type: 'function_call_output', call_id: 'b', output: [{ type: 'input_text', text: 'rainy' }] },
      ],
    })
    expect(engine.requests[0]).toMatchObject({
      options: {
        tools: [{ name: 'look', description: 'Looks.', parameters }],
        toolChoice: { name: 'look' },
        parallelToolCalls: false,
        reasoning: 'on',
      },
      prompt: [
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: 'I look.',
          reasoning_content: 'Hm.',
          tool_calls: [
            { id: 'a', function: { name: 'look', arguments: '{}' } },
            { id: 'b', function: { arguments: '{"at":"Bern"}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'a', content: 'sunny' },
        { role: 'tool', tool_call_id: 'b', content: 'rainy' },
      ],
    })
    expect(response).toMatchObject({
      tools: [tool],
      tool_choice: { name: 'look' },
      reasoning: { effort: 'low' },
    })
  })

  it('closes the loop with its own output', async () => {
    const toolCalls = [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{}' }]
    const scripts: Script[] = [{ words: [{ reasoning: 'Hm.' }, { toolCalls }], end: 'tool-calls' }, { words }]
    const { client, engine } = open(() => scripts.shift()!)
    const tools = [{ type: 'function', name: 'look', parameters: null, strict: true } as const]
    const first = await client.responses.create({ ...request, tools })
    const call = first.output.find(({ type }) => type === 'function_call')
    expect(call).toMatchObject({ call_id: 'a', name: 'look', arguments: '{}' })
    const input = [
      { role: 'user', content: request.input } as const,
      ...(first.output as OpenAI.Responses.ResponseInputItem[]),
      { type: 'function_call_output', call_id: 'a', output: 'sunny' } as const,
    ]
    expect((await client.responses.create({ model: 'local', input, tools })).output_text).toBe(words.join(''))
    expect(engine.requests[1]?.prompt).toMatchObject([
      { role: 'user' },
      { role: 'assistant', reasoning_content: 'Hm.', tool_calls: [{ id: 'a' }] },
      { role: 'tool', content: 'sunny' },
    ])
  })

  it('takes earlier items, without summaries of their reasoning', async () => {
    const { client, engine } = open()
    await client.responses.create({
      model: 'local',
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'Hello' }] },
        { type: 'reasoning', id: 'rs_1', summary: [] },
        {
          type: 'message',
          id: 'msg_1',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hi', annotations: [] }],
        },
        { role: 'developer', content: 'Be kind.' },
      ],
    })
    expect(engine.requests[0]?.prompt).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'system', content: 'Be kind.' },
    ])
  })

  it.each<[object, string]>([
    [{ input: 5 }, 'input'],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input[0].role'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content'],
    [{ input: [{ type: 'function_call_output', call_id: 'a', output: '' }] }, 'input[0].call_id'],
    [{ input: [{ type: 'web_search_call' }] }, 'input[0].type'],
    [{ tools: [{ type: 'web_search' }] }, 'tools'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ temperature: -1 }, 'temperature'],
    [{ top_p: 2 }, 'top_p'],
    [{ tools: [{ type: 'function' }] }, 'tools'],
    [{ text: { format: { type: 'json_schema' } } }, 'text.format'],
    [{ text: { format: { type: 'grammar' } } }, 'text.format'],
    [{ reasoning: { effort: 'huge' } }, 'reasoning.effort'],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ background: true }, 'background'],
    [{ include: ['reasoning.encrypted_content'] }, 'include'],
    [{ unheard_of: 1 }, 'unheard_of'],
  ])('refuses by the name of its own field: %j', async (fields, param) => {
    const { fetch } = open()
    const response = await fetch('https://local.example/v1/responses', {
      method: 'POST',
      body: JSON.stringify({ ...request, ...fields }),
    })
    const { error } = (await response.json()) as { error: { param: string; message: string } }
    expect([response.status, error.param]).toEqual([400, param])
    expect(error.message).toContain(param)
  })
})

describe('the body of a streamed response', () => {
  afterEach(() => vi.useRealTimers())

  const stream = (fetch: typeof globalThis.fetch) =>
    fetch('https://local.example/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ ...asked, stream: true }),
    })

  it('has a BYOB reader', async () => {
    const { fetch } = open()
    const response = await stream(fetch)
    const reader = response.body!.getReader({ mode: 'byob' })
    const decoder = new TextDecoder()
    let text = ''
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(7))
      if (done) break
      text += decoder.decode(value, { stream: true })
    }
    expect(text).toContain('"content":"Once"')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('that nobody reads holds the model for 30 seconds, and then is kept for its reader', async () => {
    vi.useFakeTimers()
    const { fetch, engine } = open(() => ({ words: Array.from({ length: 50 }, (_, index) => `${index} `) }))
    let ended = 0
    const generate = engine.generate.bind(engine)
    engine.generate = (prompt, options) => {
      const generated = generate(prompt, options)
      void generated.result.then(() => (ended += 1))
      return generated
    }
    const responding = stream(fetch)
    await vi.advanceTimersByTimeAsync(20_000)
    const response = await responding
    expect(ended).toBe(0)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(ended).toBe(1)
    const text = await response.text()
    expect(text).toContain('"content":"49 "')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('can be cancelled at once, and then nothing goes on', async () => {
    const { fetch, engine } = open(() => ({ words, end: 'silence' }))
    let end: string | undefined
    const generate = engine.generate.bind(engine)
    engine.generate = (prompt, options) => {
      const generated = generate(prompt, options)
      void generated.result.then(({ finishReason }) => (end = finishReason))
      return generated
    }
    const reader = (await stream(fetch)).body!.getReader()
    await reader.read()
    await reader.cancel()
    await vi.waitFor(() => expect(end).toBe('cancelled'))
  })
})
