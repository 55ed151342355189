// Forms of an answer, tools and reasoning on the kinds of servers. The HTTP server is real; its answers are scripted after the
// sources that server-kinds.ts names. e2e/real-servers.spec.ts has llama.cpp's own server.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RemoteLoadOptions, RemoteSupport, ServerKind } from '../../lib/contract/remote-options.js'
import type { GenerateRequest, RequestFormat, RequestMessage } from '../../lib/contract/request.js'
import type { GenerationStep } from '../../lib/contract/worker-api.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { createRemoteBackend } from './remote-backend.js'

type Body = Readonly<Record<string, unknown>>

/** What GET requests answer, by path. Others answer 404. */
let pages: Record<string, unknown>
let bodies: Body[]
/** The deltas of the next answer, and its finish reason. */
let deltas: readonly object[]
let finishReason: string
let url: string
let close: () => void

beforeEach(async () => {
  pages = { '/v1/models': { data: [{ id: 'm' }] } }
  bodies = []
  deltas = [{ content: 'Once' }]
  finishReason = 'stop'
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      const page = pages[request.url!]
      return void response.writeHead(page === undefined ? 404 : 200).end(JSON.stringify(page ?? {}))
    }
    let body = ''
    for await (const piece of request) body += String(piece)
    bodies.push(JSON.parse(body) as Body)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const ended = [...deltas.map((delta) => ({ delta })), { delta: {}, finish_reason: finishReason }]
    const events = ended.map(
      (choice) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`,
    )
    response.end(`${events.join('')}data: [DONE]\n\n`)
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

async function open(server: ServerKind | undefined, options: Partial<RemoteLoadOptions> = {}) {
  const backend = createRemoteBackend()
  const access: RemoteLoadOptions = {
    baseUrl: url,
    model: 'm',
    headers: {},
    idleTimeoutMs: 1000,
    canContinue: true,
    server,
    supports: {},
    skipModelList: false,
    allowMissingFinishReason: false,
    extraBody: {},
    ...options,
  }
  const download = { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 }
  const load = { model: { kind: 'none' }, download, options: access, lifeLock: '' } as const
  const { supports } = await backend.load(load, { onProgress() {}, onLost() {}, signal })
  async function ask(request: GenerateRequest) {
    const steps: GenerationStep[] = []
    const answer = backend.generate(request, { signal, queueMs: 0 })
    for (;;) {
      const { done, value } = await answer.next()
      if (done) return { end: value, steps }
      steps.push(value)
    }
  }
  return { supports, ask }
}

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const forms = {
  json: { kind: 'json' },
  schema: { kind: 'json-schema', schema },
  regex: { kind: 'regex', pattern: '[a-z]+' },
  grammar: { kind: 'grammar', grammar: 'root ::= "a"' },
} as const satisfies Record<string, RequestFormat>
const openAi = {
  json: { response_format: { type: 'json_object' } },
  schema: {
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } },
  },
}

/** The fields of each form, on each kind of server. */
const written: Record<ServerKind, { readonly [Form in keyof typeof forms]?: object }> = {
  openai: openAi,
  ollama: openAi,
  vllm: {
    ...openAi,
    regex: { structured_outputs: { regex: '[a-z]+' } },
    grammar: { structured_outputs: { grammar: 'root ::= "a"' } },
  },
  sglang: { ...openAi, regex: { regex: '[a-z]+' }, grammar: { ebnf: 'root ::= "a"' } },
  'llama-cpp': { ...openAi, grammar: { grammar: 'root ::= "a"' } },
  // The grammar that the backends in the page use, too.
  'llama-cpp-python': {
    json: { grammar: expect.stringContaining('root ::=') },
    schema: { grammar: expect.stringMatching(/root ::= [^]*city/) },
    regex: { grammar: expect.stringContaining('[a-z]') },
    grammar: { grammar: expect.stringContaining('"a"') },
  },
}
const kinds = Object.keys(written) as ServerKind[]
const formFields = ['response_format', 'json_schema', 'structured_outputs', 'guided_regex', 'guided_grammar']
const pickForm = (body: Body | undefined) =>
  Object.fromEntries(
    Object.entries(body ?? {}).filter(([name]) => [...formFields, 'regex', 'ebnf', 'grammar'].includes(name)),
  )

describe('a form of the answer', () => {
  it.each(kinds)(
    'is sent in the fields of the kind of server, and only the forms that it has: %s',
    async (kind) => {
      const { supports, ask } = await open(kind)
      const known = Object.keys(written[kind]).map((form) => forms[form as keyof typeof forms].kind)
      expect(supports.formats).toEqual(known)
      expect(supports.options).toContain('responseFormat')
      for (const [form, fields] of Object.entries(written[kind])) {
        await ask(chatRequest('Hello', { responseFormat: forms[form as keyof typeof forms] }))
        expect(pickForm(bodies.at(-1))).toEqual(fields)
      }
    },
  )

  it.each([
    ['llama-cpp', 'schema', { json_schema: schema }],
    ['llama-cpp', 'json', { json_schema: { type: 'object' } }],
    ['llama-cpp', 'grammar', { grammar: 'root ::= "a"' }],
    ['vllm', 'schema', openAi.schema],
    ['llama-cpp-python', 'schema', { grammar: expect.stringContaining('city') }],
    ['ollama', 'json', undefined],
    ['openai', 'schema', undefined],
  ] as const)('of raw text, on %s, %s: %j', async (kind, form, fields) => {
    const { ask } = await open(kind)
    const asked = ask(textRequest('Hello', { responseFormat: forms[form] }))
    if (fields) {
      await asked
      return expect(pickForm(bodies[0])).toEqual(fields)
    }
    await expect(asked).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(/raw text/),
      details: { option: 'responseFormat' },
    })
    expect(bodies).toEqual([])
  })

  const describeFields = (...names: string[]) => ({
    components: {
      schemas: { ChatCompletionRequest: { properties: Object.fromEntries(names.map((name) => [name, {}])) } },
    },
  })

  it.each([
    [
      ['structured_outputs', 'thinking_token_budget'],
      ['json', 'json-schema', 'regex', 'grammar'],
      'structured_outputs',
    ],
    [
      ['structured_outputs', 'guided_regex'],
      ['json', 'json-schema', 'regex', 'grammar'],
      'structured_outputs',
    ],
    [
      ['guided_json', 'guided_regex', 'guided_grammar'],
      ['json', 'json-schema', 'regex', 'grammar'],
      'guided_regex',
    ],
    [['guided_json'], ['json', 'json-schema'], undefined],
  ])('follows the fields that vLLM’s version knows: %j', async (fields, formats, regexField) => {
    pages['/openapi.json'] = describeFields('response_format', ...fields)
    const { supports, ask } = await open('vllm')
    expect(supports.formats).toEqual(formats)
    expect(supports.reasoning.includes('budget')).toBe(fields.includes('thinking_token_budget'))
    if (regexField === undefined) return
    await ask(chatRequest('Hello', { responseFormat: forms.regex }))
    expect(Object.keys(pickForm(bodies[0]))).toEqual([regexField])
  })

  it('is rivulet’s own grammar on llama.cpp’s server if its model does not reason, also from the middle', async () => {
    pages['/props'] = { chat_template: '{{ messages }}' }
    const { supports, ask } = await open('llama-cpp')
    expect(supports.formats).toEqual(['json', 'json-schema', 'regex', 'grammar'])
    const hostile = {
      ...schema,
      properties: { city: { type: 'integer', multipleOf: 10, maximum: 30, minimum: 1 } },
    }
    await ask(chatRequest('Hello', { responseFormat: { kind: 'json-schema', schema: hostile } }))
    expect(pickForm(bodies[0])).toEqual({ grammar: expect.stringContaining('30') })
    await ask(chatRequest('Hello', { responseFormat: { kind: 'regex', pattern: 'cat|dog' } }, 'ca'))
    expect(bodies[1]!.grammar).toContain('"t"')
    for (const [request, option] of [
      [
        chatRequest('Hello', { responseFormat: { kind: 'regex', pattern: 'cat' } }, 'x'),
        'continueFinalMessage',
      ],
      [
        chatRequest('Hello', { responseFormat: { kind: 'grammar', grammar: 'root ::= b' } }),
        'responseFormat',
      ],
    ] as const) {
      await expect(ask(request)).rejects.toMatchObject({ code: 'invalid-option', details: { option } })
    }
    expect(bodies).toHaveLength(2)
    // The server refuses a grammar together with tools.
    const tools = [{ name: 'clock', parameters: { type: 'object' } }]
    await ask(chatRequest('Hello', { tools, responseFormat: forms.schema }))
    expect(pickForm(bodies[2])).toEqual(openAi.schema)
    await expect(ask(chatRequest('Hello', { tools, responseFormat: forms.regex }))).rejects.toThrow(
      /with tools/,
    )
  })

  it.each(['ollama', 'sglang', 'llama-cpp'] as const)(
    'with a keyword that the server’s own grammar ignores is refused by name: %s',
    async (kind) => {
      const { ask } = await open(kind)
      const deep = {
        type: 'object',
        properties: { a: { type: 'array', items: { type: 'number', minimum: 3 } } },
      }
      await expect(
        ask(chatRequest('Hello', { responseFormat: { kind: 'json-schema', schema: deep } })),
      ).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining('"minimum" at #/properties/a/items'),
      })
      expect(bodies).toEqual([])
    },
  )

  it('is refused for a server of unknown kind, unless the app says that the server has it', async () => {
    const { supports } = await open(undefined)
    expect(supports).toMatchObject({
      formats: [],
      reasoning: [],
      roles: ['system', 'user', 'assistant'],
      hints: {
        responseFormat: expect.stringMatching(/remote\(\{ server \}\).*remote\(\{ supports \}\)/),
        tools: expect.any(String),
        reasoning: expect.any(String),
      },
    })
    const named: RemoteSupport = { formats: ['json-schema'], tools: true, reasoning: ['off'] }
    const told = await open(undefined, { supports: named })
    expect(told.supports).toMatchObject({ formats: ['json-schema'], reasoning: ['off'] })
    expect(told.supports.options).toEqual(expect.arrayContaining(['tools', 'toolChoice', 'responseFormat']))
    expect(told.supports.roles).toContain('tool')
    await told.ask(chatRequest('Hello', { responseFormat: forms.schema, reasoning: 'off' }))
    expect(bodies[0]).toMatchObject({ ...openAi.schema, reasoning_effort: 'none' })
  })

  it('is not taken where the app says that the server lacks it', async () => {
    const { supports } = await open('vllm', { supports: { formats: [], tools: false, reasoning: [] } })
    expect(supports.options.filter((name) => /Format|tool|reason/i.test(name))).toEqual([])
  })
})

const clock = { name: 'clock', description: 'Tells the time.', parameters: { type: 'object' } }
const look = { name: 'look', parameters: schema }
const called = {
  tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'clock', arguments: '{}' } }],
}
const conversation: readonly RequestMessage[] = [
  { role: 'user', content: 'What time is it?' },
  {
    role: 'assistant',
    content: '',
    reasoning_content: 'I need a clock.',
    tool_calls: [{ id: 'a', type: 'function', function: { name: 'clock', arguments: '{}' } }],
  },
  { role: 'tool', content: '12:00', tool_call_id: 'a' },
]

describe('tools', () => {
  it('are sent as they are, with their choice and the messages of earlier calls', async () => {
    const { ask } = await open('vllm')
    deltas = [called]
    finishReason = 'tool_calls'
    const choice = { name: 'clock' }
    const options = { tools: [clock, look], toolChoice: choice, parallelToolCalls: false }
    const { end, steps } = await ask(chatRequest(conversation, options))
    expect(end).toBe('tool-calls')
    expect(steps).toContainEqual(
      expect.objectContaining({ toolCalls: [{ index: 0, id: 'a', name: 'clock', argumentsDelta: '{}' }] }),
    )
    expect(bodies[0]).toMatchObject({
      tools: [
        { type: 'function', function: clock },
        { type: 'function', function: look },
      ],
      tool_choice: { type: 'function', function: choice },
      parallel_tool_calls: false,
      messages: [
        conversation[0],
        { ...conversation[1], reasoning: 'I need a clock.' },
        { role: 'tool', content: '12:00', tool_call_id: 'a' },
      ],
    })
  })

  it.each([
    ['vllm', ['reasoning', 'reasoning_content']],
    ['sglang', ['reasoning_content']],
    ['llama-cpp', ['reasoning_content']],
    ['ollama', ['reasoning']],
    ['openai', []],
    ['llama-cpp-python', []],
  ] as const)('old reasoning is sent to %s as %j', async (kind, fields) => {
    await (await open(kind)).ask(chatRequest(conversation))
    const [, message] = bodies[0]!.messages as readonly object[]
    expect(Object.keys(message!).filter((name) => name.startsWith('reasoning'))).toEqual(fields)
  })

  it('of one choice are the only tools that llama.cpp’s server gets', async () => {
    deltas = [called]
    await (
      await open('llama-cpp')
    ).ask(chatRequest('Hi', { tools: [look, clock], toolChoice: { name: 'clock' } }))
    expect(bodies[0]).toMatchObject({
      tools: [{ type: 'function', function: clock }],
      tool_choice: 'required',
    })
  })

  it.each([
    [
      'llama-cpp',
      { '/props': { chat_template_caps: { supports_tools: false }, chat_template: '' } },
      [],
      /template/,
    ],
    [
      'llama-cpp',
      { '/props': { chat_template_caps: { supports_tools: true } } },
      ['tools', 'toolChoice', 'parallelToolCalls'],
      undefined,
    ],
    ['llama-cpp', {}, ['tools', 'toolChoice', 'parallelToolCalls'], undefined],
    ['ollama', {}, ['tools'], undefined],
    ['llama-cpp-python', {}, [], undefined],
  ] as const)('%s with %j takes %j', async (kind, more, taken, hint) => {
    Object.assign(pages, more)
    const { supports } = await open(kind)
    expect(supports.options.filter((name) => /tool/i.test(name))).toEqual(taken)
    expect(supports.roles.includes('tool')).toBe(taken.length > 0)
    if (hint) expect(supports.hints?.tools).toMatch(hint)
  })

  it.each(['required', { name: 'clock' }] as const)(
    'an ignored choice is an error: %j',
    async (toolChoice) => {
      const { ask } = await open('vllm')
      await expect(ask(chatRequest('Hi', { tools: [clock], toolChoice }))).rejects.toMatchObject({
        code: 'generation-failed',
        message: expect.stringContaining('"toolChoice"'),
      })
      finishReason = 'length'
      expect((await ask(chatRequest('Hi', { tools: [clock], toolChoice }))).end).toBe('length')
    },
  )

  it('a second call where only one is allowed is an error', async () => {
    const { ask } = await open('vllm')
    const second = { tool_calls: [{ ...called.tool_calls[0], index: 1, id: 'b' }] }
    deltas = [called, second]
    await expect(ask(chatRequest('Hi', { tools: [clock], parallelToolCalls: false }))).rejects.toMatchObject({
      code: 'generation-failed',
      message: expect.stringContaining('"parallelToolCalls"'),
    })
    finishReason = 'tool_calls'
    expect((await ask(chatRequest('Hi', { tools: [clock] }))).end).toBe('tool-calls')
  })
})

describe('reasoning', () => {
  const switches = (isOn: boolean) => ({ enable_thinking: isOn, thinking: isOn })

  it.each([
    ['openai', 'off', { reasoning_effort: 'none' }],
    ['openai', 'on', { reasoning_effort: 'medium' }],
    ['ollama', 'off', { reasoning_effort: 'none' }],
    ['vllm', 'off', { chat_template_kwargs: switches(false) }],
    ['sglang', 'on', { chat_template_kwargs: switches(true) }],
    ['vllm', { maxTokens: 9 }, { chat_template_kwargs: switches(true), thinking_token_budget: 9 }],
    ['llama-cpp', { maxTokens: 9 }, { chat_template_kwargs: switches(true), reasoning_budget_tokens: 9 }],
    ['llama-cpp', 'off', { chat_template_kwargs: switches(false) }],
  ] as const)('on %s, %j is %j', async (kind, reasoning, fields) => {
    const { supports, ask } = await open(kind)
    expect(supports.reasoning).toContain(typeof reasoning === 'object' ? 'budget' : reasoning)
    await ask(chatRequest('Hello', { reasoning }))
    const isAboutReasoning = /^reasoning|^thinking|chat_template_kwargs/
    expect(
      Object.fromEntries(Object.entries(bodies[0]!).filter(([name]) => isAboutReasoning.test(name))),
    ).toEqual(fields)
  })

  it('keeps the variables of the chat template', async () => {
    await (
      await open('vllm')
    ).ask(chatRequest('Hello', { reasoning: 'on', templateVariables: { date: 'now' } }))
    expect(bodies[0]!.chat_template_kwargs).toEqual({ date: 'now', ...switches(true) })
  })

  it.each([
    ['{{ messages }}', []],
    ['<think>\n{{ messages }}', ['on', 'budget']],
    ['{% if enable_thinking %}<think>{% endif %}', ['on', 'off', 'budget']],
    ['{% if thinking %}<think>{% endif %}', ['on', 'off', 'budget']],
  ])('llama.cpp’s server can control it as the chat template can: %s', async (chat_template, demands) => {
    pages['/props'] = { chat_template }
    const { supports } = await open('llama-cpp')
    expect(supports.reasoning).toEqual(demands)
    expect(supports.options.includes('reasoning')).toBe(demands.length > 0)
  })

  it('that comes although it was turned off is an error; an empty thought is none', async () => {
    const { ask } = await open('vllm')
    deltas = [{ reasoning: '\n\n' }, { content: 'Hi' }]
    expect((await ask(chatRequest('Hi', { reasoning: 'off' }))).end).toBe('stop')
    deltas = [{ reasoning: 'Hm' }, { content: 'Hi' }]
    await expect(ask(chatRequest('Hi', { reasoning: 'off' }))).rejects.toMatchObject({
      code: 'generation-failed',
      message: expect.stringContaining('"reasoning"'),
    })
  })
})

describe('a lost answer', () => {
  const lost = (generated: object, options: object = {}): GenerateRequest => ({
    ...chatRequest('Hello', options),
    resume: {
      handedOver: { text: '', tokens: 0 },
      generated: { text: '', tokens: 3, tokenIds: [], ...generated },
    },
  })

  it('with reasoning before its text is continued by a server that takes reasoning', async () => {
    await (await open('vllm')).ask(lost({ text: 'On', reasoning: 'Hm.' }))
    expect(bodies[0]).toMatchObject({
      continue_final_message: true,
      add_generation_prompt: false,
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'On', reasoning: 'Hm.' },
      ],
    })
  })

  it('in its reasoning is continued by llama.cpp’s server', async () => {
    await (await open('llama-cpp')).ask(lost({ reasoning: 'Hm' }))
    expect(bodies[0]).toMatchObject({
      continue_final_message: 'reasoning_content',
      messages: [{ role: 'user' }, { role: 'assistant', content: '', reasoning_content: 'Hm' }],
    })
  })

  it('in a form of JSON is continued by llama.cpp’s server', async () => {
    await (await open('llama-cpp')).ask(lost({ text: '{"ci' }, { responseFormat: forms.schema }))
    expect(bodies[0]).toMatchObject({
      ...openAi.schema,
      messages: [{}, { role: 'assistant', content: '{"ci' }],
    })
  })

  it.each([
    ['vllm', { reasoning: 'Hm' }, {}, /in its reasoning/],
    ['openai', { text: 'On', reasoning: 'Hm.' }, {}, /after its reasoning/],
    ['vllm', { toolCalls: [{ id: 'a', name: 'clock', arguments: '{' }] }, {}, /tool call/],
    ['llama-cpp', { text: 'On', toolCalls: [{ id: 'a', name: 'clock', arguments: '' }] }, {}, /tool call/],
    ['vllm', { text: '{"ci' }, { responseFormat: forms.schema }, /json-schema/],
    ['llama-cpp', { text: 'a' }, { responseFormat: forms.grammar }, /grammar/],
    ['llama-cpp-python', { text: 'b' }, { responseFormat: forms.grammar }, /does not fit/],
  ] as const)(
    'on %s, with %j and %j, ends typed before a request',
    async (kind, generated, options, words) => {
      const { ask } = await open(kind)
      await expect(ask(lost(generated, options))).rejects.toMatchObject({
        code: 'connection-failed',
        message: expect.stringMatching(words),
      })
      expect(bodies).toEqual([])
    },
  )

  it('a message cannot be continued in a form that the server would start again', async () => {
    const { ask } = await open('vllm')
    await expect(ask(chatRequest('Hello', { responseFormat: forms.schema }, '{"'))).rejects.toMatchObject({
      code: 'invalid-option',
      details: { option: 'continueFinalMessage' },
    })
    expect(bodies).toEqual([])
  })
})
