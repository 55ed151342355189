import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  createScriptedEngine,
  type Script,
  type ScriptedEngine,
} from './chat/scripted-engine.test-support.js'
import type { CheckedRequest } from './check-request.js'
import { RivuletError } from './contract/errors.js'
import {
  createLanguageModel,
  LanguageModelToolCall,
  LanguageModelToolError,
  LanguageModelToolSuccess,
  type LanguageModel,
  type LanguageModelCreateOptions,
} from './prompt-api.js'

/** Node has no ProgressEvent. */
class NodeProgressEvent extends Event {
  readonly loaded: number
  readonly total: number
  readonly lengthComputable: boolean
  constructor(type: string, init: { loaded: number; total: number; lengthComputable: boolean }) {
    super(type)
    this.loaded = init.loaded
    this.total = init.total
    this.lengthComputable = init.lengthComputable
  }
}
vi.stubGlobal('ProgressEvent', NodeProgressEvent)

const words = ['Once', ' upon', ' a', ' time']
const story = words.join('')

type Answers = (request: CheckedRequest) => Script
const tellStory: Answers = () => ({ words })

interface Opening {
  readonly answer?: Answers
  readonly contextLength?: number
  readonly options?: LanguageModelCreateOptions
}

/** Creates a session over a scripted engine, which counts 20 tokens for the template and one for each character. */
async function open({ answer = tellStory, contextLength, options }: Opening = {}) {
  const engine = createScriptedEngine(answer, contextLength === undefined ? {} : { contextLength })
  const Model = createLanguageModel(engine)
  const session = await Model.create(options)
  return { engine, Model, session }
}

const sent = (engine: ScriptedEngine) => engine.requests.map(({ prompt }) => prompt)
const named = (name: string) => expect.objectContaining({ name })
const nextTask = () => new Promise((resolve) => setTimeout(resolve, 2))

async function readAll<T>(stream: ReadableStream<T>): Promise<T[]> {
  const chunks: T[] = []
  const reader = stream.getReader()
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value)
  return chunks
}

/** Passes values that no type allows: pages are written in JavaScript. */
const anything = (value: unknown) => value as never

const weather = {
  name: 'get_weather',
  description: 'Get the weather in a location.',
  inputSchema: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
}
const toolOptions: LanguageModelCreateOptions = {
  tools: [weather],
  expectedInputs: [{ type: 'tool-response' }, { type: 'tool-call' }],
  expectedOutputs: [{ type: 'tool-call' }],
}

describe('a prompt', () => {
  it('is a string or a list of messages, and both go into the conversation', async () => {
    const { session, engine } = await open()
    expect(await session.prompt('Hello')).toBe(story)
    await session.prompt([
      { role: 'user', content: 'Marketing: more budget.' },
      {
        role: 'user',
        content: [
          { type: 'text', value: 'Finance: ' },
          { type: 'text', value: 'no.' },
        ],
      },
      { role: 'assistant', content: 'A compromise?' },
    ])
    expect(sent(engine)).toEqual([
      [{ role: 'user', content: 'Hello' }],
      [
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: story },
        { role: 'user', content: 'Marketing: more budget.' },
        { role: 'user', content: 'Finance: no.' },
        { role: 'assistant', content: 'A compromise?' },
      ],
    ])
  })

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [{}, '[object Object]'],
    [7, '7'],
    ['', ''],
    [[], ''],
    [[{ role: 'user', content: [] }], ''],
    [[{ role: 'user', content: 7 }], '7'],
  ])('%j is the text %j, as Web IDL converts it', async (input, content) => {
    const { session, engine } = await open()
    expect(await session.prompt(anything(input))).toBe(story)
    expect(sent(engine)).toEqual([[{ role: 'user', content }]])
  })

  it.each([
    [['Hello']],
    [[{ content: 'Hello' }]],
    [[{ role: 'robot', content: 'Hello' }]],
    [[{ role: 'user' }]],
    [[{ role: 'user', content: [{ type: 'smell', value: 'x' }] }]],
    [[{ role: 'user', content: [{ type: 'text' }] }]],
    [[{ role: 'user', content: [{ type: 'text', value: new ArrayBuffer(1) }] }]],
    [Symbol('x')],
  ])('of another shape is a TypeError: %j', async (input) => {
    const { session, engine } = await open()
    await expect(session.prompt(anything(input))).rejects.toThrow(TypeError)
    expect(engine.requests).toEqual([])
  })

  it.each(['image', 'audio'])('with %s is not supported', async (type) => {
    const { session } = await open()
    const part = { type, value: new Blob() }
    for (const role of ['user', 'assistant']) {
      const prompt = session.prompt(anything([{ role, content: [part] }]))
      await expect(prompt).rejects.toThrow(named('NotSupportedError'))
    }
  })

  it('may start with a system prompt only as the first message of the session', async () => {
    const system = { role: 'system', content: 'Be a hamster.' } as const
    const user = { role: 'user', content: 'Hello' } as const
    const { Model, session, engine } = await open()
    await expect(session.prompt([user, system])).rejects.toThrow(TypeError)
    await expect(session.prompt([system, system])).rejects.toThrow(TypeError)
    expect(await session.prompt([system, user])).toBe(story)
    await expect(session.prompt([system])).rejects.toThrow(TypeError)
    await expect(session.append([system])).rejects.toThrow(TypeError)
    expect(sent(engine)).toEqual([[system, user]])
    await expect(Model.create({ initialPrompts: [user, system] })).rejects.toThrow(TypeError)
    const started = await Model.create({ initialPrompts: [user] })
    await expect(started.prompt([system])).rejects.toThrow(TypeError)
    const appended = await Model.create()
    await appended.append([system])
    await appended.prompt('Hello')
    expect(sent(engine)[1]).toEqual([system, user])
  })

  it('waits for the prompts before it', async () => {
    const { session, engine } = await open()
    expect(await Promise.all([session.prompt('One'), session.prompt('Two')])).toEqual([story, story])
    expect(sent(engine)[1]).toHaveLength(3)
  })

  it('that the model cannot answer leaves the conversation as it was', async () => {
    const failure = new RivuletError('generation-failed', 'the runtime broke')
    let isBroken = true
    const { session, engine } = await open({
      answer: () => ({ words, ...(isBroken && { end: failure }) }),
    })
    await expect(session.prompt('One')).rejects.toMatchObject({
      name: 'UnknownError',
      cause: { code: 'generation-failed' },
    })
    expect(session.contextUsage).toBe(0)
    isBroken = false
    await session.prompt('Two')
    expect(sent(engine)[1]).toEqual([{ role: 'user', content: 'Two' }])
  })
})

describe('a streamed answer', () => {
  it('is a ReadableStream of texts', async () => {
    const { session } = await open()
    const stream = session.promptStreaming('Hello')
    expect(stream).toBeInstanceOf(ReadableStream)
    expect(await readAll(stream)).toEqual(words)
    expect(session.contextUsage).toBeGreaterThan(0)
  })

  it('waits for its reader, until another call waits for the model', async () => {
    const { session, Model } = await open()
    const unread = session.promptStreaming('One')
    const other = await Model.create()
    expect(await other.prompt('Two')).toBe(story)
    const second = session.promptStreaming('Three')
    expect(await session.prompt('Four')).toBe(story)
    expect(await readAll(unread)).toEqual(words)
    expect(await readAll(second)).toEqual(words)
  })

  it('that is cancelled is not in the conversation', async () => {
    const { session, engine } = await open()
    const reader = session.promptStreaming('One').getReader()
    await reader.read()
    await reader.cancel()
    await session.prompt('Two')
    expect(sent(engine)[1]).toEqual([{ role: 'user', content: 'Two' }])
  })

  it('fails with the error of its prompt', async () => {
    const { session } = await open()
    await expect(readAll(session.promptStreaming(anything([{}])))).rejects.toThrow(TypeError)
  })
})

describe('a message with prefix: true', () => {
  const prefixed = [
    { role: 'user', content: 'A character sheet' },
    { role: 'assistant', content: '```toml\n', prefix: true },
  ] as const

  it('is continued; the answer is only the new text', async () => {
    const { session, engine } = await open()
    expect(await session.prompt(prefixed)).toBe(story)
    expect(engine.requests[0]).toMatchObject({ assistantPrefix: '```toml\n' })
    await session.prompt('More')
    expect(sent(engine)[1]![1]).toEqual({ role: 'assistant', content: `\`\`\`toml\n${story}` })
  })

  it('in any other place is a SyntaxError', async () => {
    const { session } = await open()
    const user = { role: 'user', content: 'Hello', prefix: true } as const
    for (const messages of [[user], [prefixed[1], prefixed[0]]]) {
      await expect(session.prompt(messages)).rejects.toThrow(named('SyntaxError'))
      await expect(session.append(messages)).rejects.toThrow(named('SyntaxError'))
    }
  })
})

describe('a responseConstraint', () => {
  const schema = { type: 'object', properties: { rating: { type: 'number' } }, required: ['rating'] }
  const rate: Answers = () => ({ words: ['{"rating":', ' 4}'] })

  it('is a JSON schema: the answer is a text that JSON.parse takes', async () => {
    const { session, engine } = await open({ answer: rate })
    const answer = await session.prompt('Rate this.', { responseConstraint: schema })
    expect(JSON.parse(String(answer))).toEqual({ rating: 4 })
    const { prompt, options } = engine.requests[0]!
    expect(options.responseFormat).toEqual({ kind: 'json-schema', schema })
    expect(prompt).toEqual([
      { role: 'user', content: expect.stringMatching(/^Rate this\.\n\n.*"required":\["rating"\]/s) },
    ])
  })

  it('is a RegExp that the whole answer matches', async () => {
    const { session, engine } = await open()
    await session.prompt('Hello', { responseConstraint: /[a-z ]+/ })
    expect(engine.requests[0]!.options.responseFormat).toEqual({ kind: 'regex', pattern: '[a-z ]+' })
    const flags = session.prompt('Hello', { responseConstraint: /[a-z ]+/i })
    await expect(flags).rejects.toThrow(named('NotSupportedError'))
  })

  it('is not a part of the prompt with omitResponseConstraintInput', async () => {
    const { session, engine } = await open({ answer: rate })
    const options = { responseConstraint: schema, omitResponseConstraintInput: true }
    const measured = await session.measureContextUsage('Rate this.', options)
    await session.prompt('Rate this.', options)
    expect(sent(engine)[0]).toEqual([{ role: 'user', content: 'Rate this.' }])
    const { omitResponseConstraintInput: _, ...included } = options
    expect(await session.measureContextUsage('Rate this.', included)).toBeGreaterThan(measured + 20)
    const alone = { omitResponseConstraintInput: true }
    await expect(session.prompt('Hello', alone)).rejects.toThrow(TypeError)
    await expect(session.measureContextUsage('Hello', alone)).rejects.toThrow(TypeError)
  })

  it('of another type is a TypeError, and one that the engine cannot hold is not supported', async () => {
    const { session } = await open()
    for (const constraint of ['x', 7, []]) {
      const prompt = session.prompt('Hello', { responseConstraint: anything(constraint) })
      await expect(prompt).rejects.toThrow(TypeError)
    }
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    const prompt = session.prompt('Hello', { responseConstraint: cyclic })
    await expect(prompt).rejects.toThrow(named('NotSupportedError'))
    const refusal = new RivuletError('invalid-option', 'The schema uses "not".')
    const strict = await open({ answer: () => ({ words: [], end: refusal }) })
    const refused = strict.session.prompt('Hello', { responseConstraint: { not: {} } })
    await expect(refused).rejects.toThrow(named('NotSupportedError'))
  })

  it('that the answer does not reach is a SyntaxError', async () => {
    const { session } = await open({ answer: () => ({ words: ['{"rating":'], end: 'length' }) })
    const cut = session.prompt('Rate this.', { responseConstraint: schema })
    await expect(cut).rejects.toThrow(named('SyntaxError'))
    const invalid = await open({ answer: () => ({ words: ['{"rating":'] }) })
    const wrong = invalid.session.prompt('Rate this.', { responseConstraint: schema })
    await expect(wrong).rejects.toThrow(named('SyntaxError'))
  })
})

describe('tools', () => {
  const call = { index: 0, id: 'call-1', name: 'get_weather', argumentsDelta: '{"location":"Seattle"}' }
  const callTool: Answers = ({ prompt }) =>
    [prompt].flat().length > 1
      ? { words: ['It is 55F.'] }
      : { words: ['Let me look.', { toolCalls: [call] }], end: 'tool-calls' }

  it('are called by the answer, which is then a list: its text, and its calls', async () => {
    const { session, engine } = await open({ answer: callTool, options: toolOptions })
    const result = await session.prompt('What is the weather in Seattle?')
    expect(result).toEqual([
      { type: 'text', value: 'Let me look.' },
      { type: 'tool-call', value: expect.any(LanguageModelToolCall) },
    ])
    expect(engine.requests[0]!.options.tools).toEqual([
      { name: weather.name, description: weather.description, parameters: weather.inputSchema },
    ])
    const { value } = anything((result as unknown[])[1]) as { value: LanguageModelToolCall }
    expect(value).toEqual({ callId: 'call-1', name: 'get_weather', arguments: { location: 'Seattle' } })
    const parts = [{ type: 'object', value: { temperature: '55F' } }] as const
    const response = new LanguageModelToolSuccess({ callId: value.callId, name: value.name, result: parts })
    const next = await session.prompt([
      { role: 'user', content: [{ type: 'tool-response', value: response }] },
    ])
    expect(next).toBe('It is 55F.')
    expect(sent(engine)[1]!.slice(1)).toEqual([
      {
        role: 'assistant',
        content: 'Let me look.',
        tool_calls: [
          {
            id: 'call-1',
            type: 'function',
            function: { name: 'get_weather', arguments: '{"location":"Seattle"}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'call-1', content: '{"temperature":"55F"}' },
    ])
  })

  it('can be called several times in one answer', async () => {
    const calls = [call, { ...call, index: 1, id: 'call-2', argumentsDelta: '{"location":"Tokyo"}' }]
    const { session } = await open({
      answer: () => ({ words: [{ toolCalls: calls }], end: 'tool-calls' }),
      options: toolOptions,
    })
    expect(await session.prompt('Seattle or Tokyo?')).toMatchObject([
      { type: 'tool-call', value: { callId: 'call-1' } },
      { type: 'tool-call', value: { callId: 'call-2', arguments: { location: 'Tokyo' } } },
    ])
  })

  it('are streamed as parts: texts, and complete calls', async () => {
    const { session } = await open({ answer: callTool, options: toolOptions })
    expect(await readAll(session.promptStreaming('What is the weather?'))).toMatchObject([
      { type: 'text', value: 'Let me look.' },
      { type: 'tool-call', value: { callId: 'call-1', name: 'get_weather' } },
    ])
  })

  it('can be shown in examples, also those that failed', async () => {
    const { session, engine } = await open({ options: toolOptions })
    const example = new LanguageModelToolCall({ callId: 'a', name: 'get_weather' })
    const error = new LanguageModelToolError({ callId: 'a', name: 'get_weather', errorMessage: 'no network' })
    await session.append([
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: [{ type: 'tool-call', value: example }] },
      { role: 'user', content: [{ type: 'tool-response', value: error }] },
      { role: 'assistant', content: 'I do not know.' },
    ])
    await session.prompt('Again')
    expect(sent(engine)[0]).toMatchObject([
      {},
      { role: 'assistant', tool_calls: [{ id: 'a', function: { arguments: '{}' } }] },
      { role: 'tool', content: 'Error: no network' },
      {},
      { role: 'user', content: 'Again' },
    ])
  })

  it('need their types in expectedInputs, the right roles, and values of JSON', async () => {
    const { session, Model } = await open({ options: toolOptions })
    const toolCall = (input: unknown) =>
      new LanguageModelToolCall({ callId: 'a', name: 'get_weather', arguments: anything(input) })
    const success = (result: unknown) =>
      new LanguageModelToolSuccess({ callId: 'a', name: 'get_weather', result: anything(result) })
    const prompt = (role: string, type: string, value: unknown, to = session) =>
      to.prompt(anything([{ role, content: [{ type, value }] }]))
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    for (const input of [[], cyclic]) {
      await expect(prompt('assistant', 'tool-call', toolCall(input))).rejects.toThrow(named('DataError'))
    }
    for (const value of [cyclic, () => {}, 1n, new Blob()]) {
      const result = success([{ type: 'object', value }])
      await expect(prompt('user', 'tool-response', result)).rejects.toThrow(named('DataError'))
    }
    for (const type of ['image', 'audio']) {
      const result = success([{ type, value: new Blob() }])
      await expect(prompt('user', 'tool-response', result)).rejects.toThrow(named('NotSupportedError'))
    }
    await expect(prompt('user', 'tool-call', toolCall({}))).rejects.toThrow(TypeError)
    await expect(prompt('assistant', 'tool-response', success([]))).rejects.toThrow(TypeError)
    await expect(prompt('user', 'tool-response', 'sunny')).rejects.toThrow(TypeError)
    const { expectedInputs: _, ...others } = toolOptions
    const narrow = await Model.create(others)
    const refused = prompt('assistant', 'tool-call', toolCall({}), narrow)
    await expect(refused).rejects.toThrow(named('NotSupportedError'))
    expect(() => new LanguageModelToolCall(anything({ name: 'x' }))).toThrow(TypeError)
  })

  const schema = { type: 'object' }
  it.each<[unknown]>([
    [{ ...weather, inputSchema: null }],
    [{ ...weather, inputSchema: undefined }],
    [{ ...weather, inputSchema: 'x' }],
    [{ ...weather, inputSchema: {} }],
    [{ ...weather, inputSchema: { type: 'string' } }],
    [{ ...weather, inputSchema: { ...schema, properties: 'x' } }],
    [{ ...weather, inputSchema: { ...schema, required: 'x' } }],
    [{ ...weather, name: '' }],
    [{ ...weather, description: '' }],
  ])('are checked before any work: %j', async (tool) => {
    const { Model } = await open()
    const options = { ...toolOptions, tools: [tool] }
    await expect(Model.create(anything(options))).rejects.toThrow(TypeError)
    await expect(Model.availability(anything(options))).rejects.toThrow(TypeError)
  })

  it('are checked together: no name twice, no cycle, a getter’s error, the expected output', async () => {
    const { Model } = await open()
    const cyclic: Record<string, unknown> = { ...schema }
    cyclic.self = cyclic
    const thrown = new Error('a getter threw')
    const throwing = {
      ...schema,
      get properties(): never {
        throw thrown
      },
    }
    const create = (tools: readonly unknown[]) => Model.create(anything({ ...toolOptions, tools }))
    await expect(create([weather, weather])).rejects.toThrow(TypeError)
    await expect(create([weather, { ...weather, name: 'b', inputSchema: cyclic }])).rejects.toThrow(TypeError)
    await expect(create([{ ...weather, inputSchema: throwing }])).rejects.toBe(thrown)
    await expect(create([{ ...weather, execute: async () => '' }])).rejects.toThrow(
      named('NotSupportedError'),
    )
    for (const expectedOutputs of [undefined, [{ type: 'text' }]]) {
      const options = { ...toolOptions, expectedOutputs }
      await expect(Model.create(anything(options))).rejects.toThrow(TypeError)
    }
    expect(await (await create([])).prompt('Hello')).toBe(story)
  })

  it('are unavailable with a model that cannot call them', async () => {
    const { engine, Model } = await open()
    const supports = { ...engine.info.supports, options: [] }
    Object.assign(engine.info, { supports })
    expect(await Model.availability(toolOptions)).toBe('unavailable')
    await expect(Model.create(toolOptions)).rejects.toThrow(named('NotSupportedError'))
  })
})

describe('append()', () => {
  it('adds messages without an answer', async () => {
    const { session, engine } = await open()
    expect(await session.append('Here is a note.')).toBeUndefined()
    expect(engine.requests).toEqual([])
    await session.prompt('Question')
    expect(sent(engine)[0]).toEqual([
      { role: 'user', content: 'Here is a note.' },
      { role: 'user', content: 'Question' },
    ])
  })

  it('uses as much of the context as was measured', async () => {
    const { session } = await open()
    const usage = await session.measureContextUsage('Here is a note.')
    await session.append('Here is a note.')
    expect(session.contextUsage).toBe(usage)
  })

  it('computes the conversation ahead of the next answer, as create() does with the initial prompts', async () => {
    const initialPrompts = [{ role: 'system', content: 'Be brief.' }] as const
    const { session, engine } = await open({ options: { initialPrompts } })
    await session.append('Here is a note.')
    const appended = [...initialPrompts, { role: 'user', content: 'Here is a note.' }]
    expect(engine.prefilled.map(({ prompt }) => prompt)).toEqual([initialPrompts, appended])
    Object.assign(engine, { prefill: () => Promise.reject(new Error('the runtime broke')) })
    await session.append('Another note.')
    expect(await session.prompt('Question')).toBe(story)
  })

  it('that is aborted while it is computed adds nothing', async () => {
    const { session, engine } = await open()
    Object.assign(engine, {
      prefill: (_: unknown, { signal }: { readonly signal: AbortSignal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    })
    const abort = new AbortController()
    const appending = session.append('Here is a note.', { signal: abort.signal })
    await nextTask()
    abort.abort()
    await expect(appending).rejects.toThrow(named('AbortError'))
    expect(session.contextUsage).toBe(0)
    await session.prompt('Question')
    expect(sent(engine)).toEqual([[{ role: 'user', content: 'Question' }]])
  })

  it('can be aborted, and then adds nothing', async () => {
    const { session, engine } = await open()
    const abort = new AbortController()
    const running = session.prompt('One')
    const appending = session.append('Two', { signal: abort.signal })
    abort.abort()
    await expect(appending).rejects.toThrow(named('AbortError'))
    await running
    await session.prompt('Three')
    expect(JSON.stringify(sent(engine)[1])).not.toContain('Two')
    const usage = session.contextUsage
    await session.append('Four')
    abort.abort()
    expect(session.contextUsage).toBeGreaterThan(usage)
  })
})

describe('the context window', () => {
  it('counts control tokens, and leaves room for an answer', async () => {
    const { session } = await open({ contextLength: 200 })
    expect(session).toMatchObject({ contextUsage: 0, contextWindow: 150 })
    expect(await session.measureContextUsage('Hello')).toBe(25)
    await session.prompt('Hello')
    expect(session.contextUsage).toBe(20 + 'Hello'.length + story.length)
    expect((await open()).session.contextWindow).toBe(Infinity)
  })

  it('can be measured for messages of every role, also after others', async () => {
    const initialPrompts = [
      { role: 'system', content: 'foo' },
      { role: 'user', content: 'bar' },
      { role: 'assistant', content: 'baz' },
    ] as const
    const { session } = await open({ options: { initialPrompts } })
    const usage = await session.measureContextUsage(initialPrompts)
    expect(usage).toBe(29)
    expect(session.contextUsage).toBe(usage)
    const aborted = session.measureContextUsage('Hello', { signal: AbortSignal.abort() })
    await expect(aborted).rejects.toThrow(named('AbortError'))
  })

  it('loses the oldest exchanges when it overflows, but never the initial prompts, with an event', async () => {
    const initialPrompts = [{ role: 'system', content: 'Be brief.' }] as const
    const { session, engine } = await open({ contextLength: 200, options: { initialPrompts } })
    const seen: string[] = []
    session.addEventListener('contextoverflow', () => seen.push('listener'))
    session.oncontextoverflow = ({ type }) => seen.push(type)
    for (const letter of 'abc') await session.prompt(letter.repeat(20))
    expect(seen).toEqual([])
    await session.prompt('d'.repeat(20))
    expect(seen).toEqual(['listener', 'contextoverflow'])
    expect(sent(engine)[3]).toEqual([
      ...initialPrompts,
      { role: 'user', content: 'b'.repeat(20) },
      { role: 'assistant', content: story },
      { role: 'user', content: 'c'.repeat(20) },
      { role: 'assistant', content: story },
      { role: 'user', content: 'd'.repeat(20) },
    ])
    session.oncontextoverflow = null
    await session.append('e'.repeat(60))
    expect(seen).toEqual(['listener', 'contextoverflow', 'listener'])
  })

  it('keeps a system prompt that the first prompt brought', async () => {
    const { session, engine } = await open({ contextLength: 200 })
    const system = { role: 'system', content: 'Be brief.' } as const
    await session.prompt([system, { role: 'user', content: 'a'.repeat(60) }])
    await session.prompt('b'.repeat(60))
    expect(sent(engine)[1]).toEqual([system, { role: 'user', content: 'b'.repeat(60) }])
  })

  it('refuses a prompt that cannot fit, with the figures, and removes nothing', async () => {
    const { session, engine } = await open({ contextLength: 200 })
    await session.prompt('Hello')
    const { contextUsage, contextWindow } = session
    const long = 'x'.repeat(140)
    const figures = { requested: 160, quota: contextWindow - contextUsage }
    const refusal = { name: 'QuotaExceededError', code: 22, ...figures }
    await expect(session.prompt(long)).rejects.toMatchObject(refusal)
    await expect(session.append(long)).rejects.toMatchObject(refusal)
    await expect(readAll(session.promptStreaming(long))).rejects.toMatchObject(refusal)
    expect(session.contextUsage).toBe(contextUsage)
    await session.prompt('Bye')
    expect(sent(engine)[1]).toHaveLength(3)
  })

  it('refuses initial prompts that do not fit', async () => {
    const { Model } = await open({ contextLength: 200 })
    const initialPrompts = [{ role: 'system', content: 'x'.repeat(300) }] as const
    const refusal = { name: 'QuotaExceededError', requested: 320, quota: 150 }
    await expect(Model.create({ initialPrompts })).rejects.toMatchObject(refusal)
  })

  it('keeps the call of a tool whose result is prompted', async () => {
    const call = { index: 0, id: 'a', name: 'get_weather', argumentsDelta: '{}' }
    const { session, engine } = await open({
      answer: () => ({ words: [{ toolCalls: [call] }], end: 'tool-calls' }),
      contextLength: 200,
      options: toolOptions,
    })
    await session.prompt('x'.repeat(60))
    const result = [{ type: 'text', value: 'y'.repeat(60) }] as const
    const value = new LanguageModelToolSuccess({ callId: 'a', name: 'get_weather', result })
    const answered = session.prompt([{ role: 'user', content: [{ type: 'tool-response', value }] }])
    await expect(answered).resolves.toBeInstanceOf(Array)
    expect(sent(engine)[1]).toHaveLength(3)
  })
})

describe('clone()', () => {
  it('returns an independent session with the same conversation', async () => {
    const { session, Model, engine } = await open({ options: { samplingMode: 'creative' } })
    await session.prompt('One')
    const clone = await session.clone()
    expect(clone).toBeInstanceOf(Model)
    const { contextUsage, contextWindow, samplingMode } = session
    expect(clone).toMatchObject({ contextUsage, contextWindow, samplingMode })
    await clone.prompt('Two')
    expect(clone.contextUsage).toBeGreaterThan(session.contextUsage)
    expect(sent(engine)[1]).toHaveLength(3)
    session.destroy()
    expect(await clone.prompt('Three')).toBe(story)
  })

  it('can be aborted', async () => {
    const { session } = await open()
    const abort = new AbortController()
    const cloning = session.clone({ signal: abort.signal })
    abort.abort()
    await expect(cloning).rejects.toThrow(named('AbortError'))
    await expect(session.clone({ signal: abort.signal })).rejects.toThrow(named('AbortError'))
  })
})

describe('ending a session', () => {
  const operations = {
    prompt: (session: LanguageModel) => session.prompt('Hello'),
    append: (session: LanguageModel) => session.append('Hello'),
    measureContextUsage: (session: LanguageModel) => session.measureContextUsage('Hello'),
    clone: (session: LanguageModel) => session.clone(),
    promptStreaming: async (session: LanguageModel) => readAll(session.promptStreaming('Hello')),
  }

  it.each(Object.entries(operations))('destroy() ends %s with an AbortError', async (_, operation) => {
    const { session } = await open()
    const running = operation(session)
    session.destroy()
    await expect(running).rejects.toThrow(named('AbortError'))
    await expect(operation(session)).rejects.toThrow(named('InvalidStateError'))
    session.destroy()
    expect(session).toMatchObject({ contextUsage: 0, contextWindow: Infinity })
  })

  it.each(Object.entries(operations))(
    'the signal of create() ends %s with its reason',
    async (_, operation) => {
      const abort = new AbortController()
      const { session } = await open({ options: { signal: abort.signal } })
      const running = operation(session)
      const reason = new Error('enough')
      abort.abort(reason)
      await expect(running).rejects.toBe(reason)
      await expect(operation(session)).rejects.toBe(reason)
    },
  )

  it('a prompt to an engine that was disposed is an InvalidStateError', async () => {
    const { session, engine } = await open()
    await engine.dispose()
    await expect(session.prompt('Hello')).rejects.toThrow(named('InvalidStateError'))
  })

  it('ends an answer in the middle of its stream, and a stream that nobody reads', async () => {
    const { session } = await open({ answer: () => ({ words, end: 'silence' }) })
    const reader = session.promptStreaming('One').getReader()
    expect(await reader.read()).toEqual({ done: false, value: 'Once' })
    const unread = session.promptStreaming('Two')
    session.destroy()
    await expect(reader.closed).rejects.toThrow(named('AbortError'))
    await expect(readAll(unread)).rejects.toThrow(named('AbortError'))
  })
})

describe('aborting a prompt', () => {
  it('that waits removes it from the queue', async () => {
    const { session, engine } = await open()
    const abort = new AbortController()
    const first = session.prompt('One')
    const waiting = session.prompt('Two', { signal: abort.signal })
    const reason = new Error('left')
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(await first).toBe(story)
    await nextTask()
    expect(engine.requests).toHaveLength(1)
  })

  it('that runs removes it and its answer from the conversation', async () => {
    const { session, engine } = await open()
    const abort = new AbortController()
    const running = session.prompt('One', { signal: abort.signal })
    await nextTask()
    abort.abort()
    await expect(running).rejects.toThrow(named('AbortError'))
    expect(await session.prompt('Two')).toBe(story)
    expect(sent(engine).at(-1)).toEqual([{ role: 'user', content: 'Two' }])
  })

  it('that is answered does nothing', async () => {
    const { session } = await open()
    const abort = new AbortController()
    await session.prompt('One', { signal: abort.signal })
    const usage = session.contextUsage
    abort.abort()
    expect(session.contextUsage).toBe(usage)
    expect(await session.prompt('Two')).toBe(story)
  })

  it('with an aborted signal never starts; a stream throws at once', async () => {
    const { session, engine } = await open()
    const signal = AbortSignal.abort(new Error('before'))
    await expect(session.prompt('One', { signal })).rejects.toThrow('before')
    expect(() => session.promptStreaming('One', { signal })).toThrow('before')
    const wrong = { signal: anything('x') }
    await expect(session.prompt('One', wrong)).rejects.toThrow(TypeError)
    expect(engine.requests).toEqual([])
  })

  it('does not bring back what overflowed', async () => {
    const { session, engine } = await open({ contextLength: 200 })
    await session.prompt('a'.repeat(60))
    const abort = new AbortController()
    const running = session.prompt('b'.repeat(60), { signal: abort.signal })
    session.addEventListener('contextoverflow', () => abort.abort())
    await expect(running).rejects.toThrow(named('AbortError'))
    await session.prompt('c')
    expect(sent(engine).at(-1)).toEqual([{ role: 'user', content: 'c' }])
  })
})

describe('create()', () => {
  it('makes a real EventTarget of the class, and its constructor is illegal', async () => {
    const { session, Model } = await open()
    expect(session).toBeInstanceOf(Model)
    expect(session).toBeInstanceOf(EventTarget)
    expect(session.oncontextoverflow).toBeNull()
    expect(session).not.toHaveProperty('topK')
    expect(session).not.toHaveProperty('temperature')
    expect(Model).not.toHaveProperty('params')
    expect(() => new (anything(Model) as new () => unknown)()).toThrow(TypeError)
  })

  it('generates nothing', async () => {
    const initialPrompts = [
      { role: 'system', content: 'Predict emojis.' },
      { role: 'user', content: 'LGTM' },
      { role: 'assistant', content: '👍' },
    ] as const
    const { session, engine } = await open({ options: { initialPrompts } })
    expect(engine.requests).toEqual([])
    await session.prompt('Nice')
    expect(sent(engine)[0]).toEqual([...initialPrompts, { role: 'user', content: 'Nice' }])
    expect((await open({ options: { initialPrompts: [] } })).session.contextUsage).toBe(0)
  })

  it('reports its progress, at least 0 and 1, and none after it resolved or was aborted', async () => {
    const { Model } = await open()
    const seen: { loaded: number; total: number }[] = []
    const monitor = (target: EventTarget) =>
      target.addEventListener('downloadprogress', (event) => {
        const { loaded, total } = event as NodeProgressEvent
        seen.push({ loaded, total })
      })
    await Model.create({ monitor })
    expect(seen).toEqual([
      { loaded: 0, total: 1 },
      { loaded: 1, total: 1 },
    ])
    for (const at of [0, 1]) {
      const abort = new AbortController()
      const reason = new Error('enough')
      let count = 0
      const stop = (target: EventTarget) =>
        target.addEventListener('downloadprogress', (event) => {
          count += 1
          if ((event as NodeProgressEvent).loaded === at) abort.abort(reason)
        })
      await expect(Model.create({ monitor: stop, signal: abort.signal })).rejects.toBe(reason)
      expect(count).toBe(at + 1)
    }
  })

  it('fails with what its monitor throws', async () => {
    const { Model } = await open()
    const thrown = new Error('in the monitor')
    const monitor = () => {
      throw thrown
    }
    await expect(Model.create({ monitor })).rejects.toBe(thrown)
    await expect(Model.create({ monitor: anything('x') })).rejects.toThrow(TypeError)
  })

  it('waits for an engine that is loading, and fails with NetworkError if its download fails', async () => {
    const engine = createScriptedEngine(tellStory)
    let ready: (engine: ScriptedEngine) => void = () => {}
    const Model = createLanguageModel(new Promise<ScriptedEngine>((resolve) => (ready = resolve)))
    expect(await Model.availability()).toBe('downloading')
    const creating = Model.create()
    ready(engine)
    expect(await (await creating).prompt('Hello')).toBe(story)
    expect(await Model.availability()).toBe('available')
    const failed = createLanguageModel(Promise.reject(new RivuletError('download-failed', 'no network')))
    await expect(failed.create()).rejects.toMatchObject({
      name: 'NetworkError',
      cause: { code: 'download-failed' },
    })
    expect(await failed.availability()).toBe('unavailable')
  })

  it('rejects when its signal aborts, also before it starts', async () => {
    const Model = createLanguageModel(new Promise<ScriptedEngine>(() => {}))
    const abort = new AbortController()
    const creating = Model.create({ signal: abort.signal })
    abort.abort()
    await expect(creating).rejects.toThrow(named('AbortError'))
    await expect(Model.create({ signal: abort.signal })).rejects.toThrow(named('AbortError'))
  })

  it('takes the sampling modes, and ignores topK and temperature, which pages no longer have', async () => {
    const { Model, engine } = await open()
    const temperatures: (number | undefined)[] = []
    const modes = [
      'most-predictable',
      'predictable',
      'slightly-predictable',
      'slightly-creative',
      'creative',
      'most-creative',
    ] as const
    for (const samplingMode of modes) {
      const session = await Model.create({ samplingMode })
      expect(session.samplingMode).toBe(samplingMode)
      await session.prompt('Hello')
      temperatures.push(engine.requests.at(-1)!.options.temperature)
    }
    expect(temperatures).toEqual(temperatures.toSorted((a, b) => a! - b!))
    const balanced = await Model.create(anything({ topK: 3, temperature: 0.6 }))
    expect(balanced.samplingMode).toBe('balanced')
    await balanced.prompt('Hello')
    expect(engine.requests.at(-1)!.options).not.toHaveProperty('temperature')
    await expect(Model.create({ samplingMode: anything('wild') })).rejects.toThrow(TypeError)
  })
})

describe('availability()', () => {
  it('is available for texts in every language, and unavailable for images and audio', async () => {
    const { Model } = await open()
    expect(await Model.availability()).toBe('available')
    const texts = [{ type: 'text', languages: ['en', 'JA'] }] as const
    expect(await Model.availability({ expectedInputs: texts, expectedOutputs: texts })).toBe('available')
    for (const type of ['image', 'audio'] as const) {
      expect(await Model.availability({ expectedInputs: [{ type }] })).toBe('unavailable')
      expect(await Model.availability({ expectedOutputs: [{ type }] })).toBe('unavailable')
      const create = Model.create({ expectedInputs: [{ type }] })
      await expect(create).rejects.toThrow(named('NotSupportedError'))
    }
    const thinking = anything({ thinking: { effort: 'high' } }) as LanguageModelCreateOptions
    expect(await Model.availability(thinking)).toBe('unavailable')
    await expect(Model.create(thinking)).rejects.toThrow(named('NotSupportedError'))
  })

  it('refuses an invalid language tag with a RangeError', async () => {
    const { Model } = await open()
    const options = { expectedInputs: [{ type: 'text', languages: ['en-abc-invalid'] }] } as const
    await expect(Model.availability(options)).rejects.toThrow(RangeError)
    await expect(Model.create(options)).rejects.toThrow(RangeError)
  })

  it('is unavailable for other languages than the option "languages" names', async () => {
    const Model = createLanguageModel(createScriptedEngine(tellStory), { languages: ['en', 'de'] })
    const check = (languages: string[]) =>
      Model.availability({ expectedOutputs: [{ type: 'text', languages }] })
    expect(await check(['de-CH', 'en-US'])).toBe('available')
    expect(await check(['en', 'ja'])).toBe('unavailable')
  })

  it('is unavailable with an engine that cannot count tokens or has no chat template', async () => {
    const silent = createScriptedEngine(tellStory, { tokenCounting: false })
    expect(await createLanguageModel(silent).availability()).toBe('unavailable')
    await expect(createLanguageModel(silent).create()).rejects.toThrow(named('NotSupportedError'))
    const raw = createScriptedEngine(tellStory)
    Object.assign(raw.info, { supports: { ...raw.info.supports, inputs: ['text'] } })
    expect(await createLanguageModel(raw).availability()).toBe('unavailable')
  })
})

describe('createLanguageModel()', () => {
  afterEach(() => {
    for (const name of ['', 'ToolCall', 'ToolSuccess', 'ToolError']) {
      Reflect.deleteProperty(globalThis, `LanguageModel${name}`)
    }
  })

  it('installs its classes only where the page has none', () => {
    const engine = createScriptedEngine(tellStory)
    createLanguageModel(engine)
    expect(globalThis).not.toHaveProperty('LanguageModel')
    const Model = createLanguageModel(engine, { install: true })
    expect(globalThis).toMatchObject({ LanguageModel: Model, LanguageModelToolCall })
    createLanguageModel(engine, { install: true })
    expect(globalThis).toMatchObject({ LanguageModel: Model })
    expect(Model).toHaveProperty('name', 'LanguageModel')
  })

  it.each<[string, unknown, unknown?]>([
    ['createEngine()', undefined],
    ['createEngine()', { model: './x/' }],
    ['"instal"', createScriptedEngine(tellStory), { instal: true }],
    ['"install"', createScriptedEngine(tellStory), { install: 'yes' }],
    ['"languages"', createScriptedEngine(tellStory), { languages: 'en' }],
    ['"languages"', createScriptedEngine(tellStory), { languages: ['not a tag'] }],
    ['"unloadAfterMs"', createScriptedEngine(tellStory), { unloadAfterMs: -1 }],
  ])('refuses, by its name, %s', (name, source, options = {}) => {
    expect(() => createLanguageModel(anything(source), anything(options))).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
    )
  })
})
