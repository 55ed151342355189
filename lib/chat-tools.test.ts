// Runs in Node, without a page. The engine is scripted: real token streams over a script instead of a worker.
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import {
  createChat,
  defineTool,
  type Answer,
  type Chat,
  type ChatOptions,
  type ChatSnapshot,
} from './chat.js'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'
import { RivuletError } from './contract/errors.js'

type Word = Script['words'][number]

const call = (id: string, name: string, args: string, index = 0): Word => ({
  toolCalls: [{ index, id, name, argumentsDelta: args }],
})
const calling = (...words: Word[]): Script => ({ words, end: 'tool-calls' })
const sum: Script = calling(call('a', 'add', '{"a":1,"b":2}'))
const three: Script = { words: ['It is', ' 3.'] }

const add = defineTool({
  name: 'add',
  description: 'Adds.',
  parameters: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => a + b,
})

function openChat(scripts: readonly Script[], options: Partial<ChatOptions> = {}) {
  const rest = [...scripts]
  const engine = createScriptedEngine(
    () => rest.shift() ?? { words: [], end: new RivuletError('generation-failed', 'No script.') },
  )
  return { engine, chat: createChat({ engine, tools: [add], ...options }) }
}

/** The states of the last answer's calls. */
const callsOf = ({ rounds = [] }: Answer) =>
  rounds.flatMap(({ calls }) => calls.map(({ id, state }) => ({ id, ...state })))
const lastAnswer = ({ messages }: ChatSnapshot) => messages.at(-1) as Answer

/** The first snapshot for which `isIt` is true. */
function waitFor(chat: Chat, isIt: (snapshot: ChatSnapshot) => boolean): Promise<ChatSnapshot> {
  return new Promise((resolve) => {
    const unsubscribe = chat.subscribe((snapshot) => {
      if (!isIt(snapshot)) return
      resolve(snapshot)
      queueMicrotask(() => unsubscribe())
    })
  })
}

describe('a chat with tools (scripted engine)', () => {
  it('runs the calls, sends their results, and streams the answer', async () => {
    const { chat, engine } = openChat([
      calling({ reasoning: 'Hm.' }, 'I add.', call('a', 'add', '{"a":1,'), {
        toolCalls: [{ index: 0, argumentsDelta: '"b":2}' }],
      }),
      three,
    ])
    const answer = await chat.send('1 + 2?')
    expect(answer).toMatchObject({
      text: 'It is 3.',
      rounds: [
        {
          text: 'I add.',
          reasoning: 'Hm.',
          calls: [
            { id: 'a', name: 'add', arguments: '{"a":1,"b":2}', state: { kind: 'finished', result: '3' } },
          ],
        },
      ],
      state: { kind: 'finished', finishReason: 'stop' },
    })
    expect(engine.requests[0]?.options.tools).toMatchObject([
      { name: 'add', description: 'Adds.', parameters: { properties: { a: { type: 'number' } } } },
    ])
    expect(engine.requests[1]?.prompt).toEqual([
      { role: 'user', content: '1 + 2?' },
      {
        role: 'assistant',
        content: 'I add.',
        reasoning_content: 'Hm.',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'add', arguments: '{"a":1,"b":2}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: '3' },
    ])
    expect(chat.getSnapshot().messages).toHaveLength(2)
  })

  it('shows each state of a call', async () => {
    let finish!: (value: string) => void
    const look = defineTool({
      name: 'look',
      run: () => new Promise<string>((resolve) => (finish = resolve)),
    })
    const { chat } = openChat([calling(call('a', 'look', '{}')), three], { tools: [look] })
    const seen: string[] = []
    chat.subscribe((snapshot) => {
      const state = snapshot.messages.length > 0 ? callsOf(lastAnswer(snapshot))[0]?.kind : undefined
      if (state !== undefined && state !== seen.at(-1)) seen.push(state)
      if (state === 'running') finish('sunny')
    })
    const answer = await chat.send('Weather?')
    expect(seen).toEqual(['streaming', 'running', 'finished'])
    expect(callsOf(answer)).toEqual([{ id: 'a', kind: 'finished', result: 'sunny' }])
  })

  it('shows the reasoning of an answer', async () => {
    const { chat } = openChat([{ words: [{ reasoning: 'Hm' }, { reasoning: '.' }, 'Yes.'] }])
    const answer = await chat.send('Really?')
    expect(answer).toMatchObject({ reasoning: 'Hm.', text: 'Yes.' })
    expect(answer).not.toHaveProperty('rounds')
  })

  it('runs several calls at the same time', async () => {
    let running = 0
    let most = 0
    const wait = defineTool({
      name: 'wait',
      async run() {
        most = Math.max(most, (running += 1))
        await new Promise((resolve) => setTimeout(resolve, 5))
        running -= 1
      },
    })
    const { chat } = openChat([calling(call('a', 'wait', '{}', 0), call('b', 'wait', '', 1)), three], {
      tools: [wait],
    })
    expect(callsOf(await chat.send('Wait.'))).toEqual([
      { id: 'a', kind: 'finished', result: '' },
      { id: 'b', kind: 'finished', result: '' },
    ])
    expect(most).toBe(2)
  })

  it.each<[string, Word, string]>([
    ['of an unknown tool', call('a', 'rm', '{}'), 'There is no tool "rm".'],
    [
      'with the name of an object’s own method',
      call('a', 'constructor', '{}'),
      'There is no tool "constructor".',
    ],
    ['with arguments that are not valid', call('a', 'add', '{"a":1}'), 'The arguments are not valid: b: '],
    ['with arguments that are not JSON', call('a', 'add', '{"a":'), 'The arguments are not valid JSON'],
    ['with arguments that are no object', call('a', 'add', '[1,2]'), 'The arguments must be an object.'],
    ['that throws', call('a', 'fail', '{}'), 'No weather today.'],
    ['whose result is not JSON', call('a', 'big', '{}'), 'Do not know how to serialize a BigInt'],
  ])('sends the error of a call %s, and the model answers', async (_, word, message) => {
    const ran: unknown[] = []
    const tools = [
      defineTool({ ...add, run: (input) => ran.push(input) }),
      defineTool({
        name: 'fail',
        run() {
          throw new Error('No weather today.')
        },
      }),
      defineTool({ name: 'big', run: () => ({ big: 1n }) }),
    ]
    const { chat, engine } = openChat([calling(word), three], { tools })
    const answer = await chat.send('Go.')
    expect(answer.text).toBe('It is 3.')
    expect(callsOf(answer)).toMatchObject([{ kind: 'failed', message: expect.stringContaining(message) }])
    expect(ran).toEqual([])
    expect(engine.requests[1]?.prompt.at(-1)).toMatchObject({
      role: 'tool',
      content: expect.stringContaining(`Error: ${message}`),
    })
  })

  it('passes the output of asynchronous schemas', async () => {
    const parameters = z.object({
      at: z
        .string()
        .refine(async (at) => at !== '')
        .transform((at) => at.length),
    })
    const look = defineTool({
      name: 'look',
      parameters,
      run(input) {
        expectTypeOf(input).toEqualTypeOf<{ at: number }>()
        return input
      },
    })
    const { chat } = openChat([calling(call('a', 'look', '{"at":"Bern"}')), three], { tools: [look] })
    expect(callsOf(await chat.send('Weather?'))).toMatchObject([{ result: '{"at":4}' }])
  })

  it('asks without calls after the last round that it allows', async () => {
    const { chat, engine } = openChat([sum, sum, three], { maxToolRounds: 2 })
    expect(await chat.send('1 + 2?')).toMatchObject({ text: 'It is 3.', rounds: [{}, {}] })
    expect(engine.requests.map(({ options }) => options.toolChoice)).toEqual([undefined, undefined, 'none'])
  })

  it('ends if the model calls tools all the same', async () => {
    const { chat, engine } = openChat([sum, sum, sum, sum], { maxToolRounds: 1 })
    const answer = await chat.send('1 + 2?')
    expect(answer.state).toMatchObject({ kind: 'finished', finishReason: 'tool-calls' })
    expect(callsOf(answer).map(({ kind }) => kind)).toEqual(['finished', 'failed'])
    expect(engine.requests).toHaveLength(2)
  })

  it('demands a call only in the first round', async () => {
    const { chat, engine } = openChat([sum, three])
    await chat.send('1 + 2?', { toolChoice: 'required', reasoning: 'off' })
    expect(engine.requests.map(({ options }) => options.toolChoice)).toEqual(['required', 'auto'])
    expect(engine.requests.map(({ options }) => options.reasoning)).toEqual(['off', 'off'])
  })
})

describe('stopping a chat with tools (scripted engine)', () => {
  it('aborts the running functions, and does not wait for them', async () => {
    let signal: AbortSignal | undefined
    const hang = defineTool({
      name: 'hang',
      run(_, context) {
        ;({ signal } = context)
        return new Promise(() => {})
      },
    })
    const { chat, engine } = openChat([calling(call('a', 'hang', '{}')), three], { tools: [hang] })
    const asked = chat.send('Go.')
    await waitFor(chat, (snapshot) => callsOf(lastAnswer(snapshot))[0]?.kind === 'running')
    await chat.stop()
    expect(signal?.aborted).toBe(true)
    const answer = await asked
    expect(answer.state).toMatchObject({ kind: 'finished', finishReason: 'cancelled' })
    expect(callsOf(answer)).toEqual([{ id: 'a', kind: 'failed', message: 'The answer was stopped.' }])
    expect(engine.requests).toHaveLength(1)
    expect(chat.getSnapshot().status).toEqual({ kind: 'ready' })
  })

  it('runs no call that is not complete', async () => {
    const ran: unknown[] = []
    const tools = [defineTool({ ...add, run: (input) => ran.push(input) })]
    for (const end of ['length', new RivuletError('generation-failed', 'It broke.')] as const) {
      const { chat } = openChat([{ words: [call('a', 'add', '{"a":1,')], end }], { tools })
      const answer = await chat.send('1 + 2?')
      expect(callsOf(answer)).toMatchObject([{ kind: 'failed' }])
      expect(answer.rounds?.[0]?.calls[0]?.arguments).toBe('{"a":1,')
    }
    expect(ran).toEqual([])
  })
})

describe('an answer with tool calls', () => {
  it('survives JSON, and is sent with the next question', async () => {
    const { chat } = openChat([sum, three], { system: 'Be exact.' })
    await chat.send('1 + 2?')
    const stored = JSON.parse(JSON.stringify(chat.getSnapshot().messages)) as ChatOptions['messages']
    const { chat: restored, engine } = openChat([three], { messages: stored, system: 'Be exact.' })
    expect(restored.getSnapshot().messages).toEqual(chat.getSnapshot().messages)
    await restored.send('And again?')
    expect(engine.requests[0]?.prompt).toMatchObject([
      { role: 'system' },
      { role: 'user', content: '1 + 2?' },
      { role: 'assistant', content: '', tool_calls: [{ id: 'a' }] },
      { role: 'tool', content: '3' },
      { role: 'assistant', content: 'It is 3.' },
      { role: 'user', content: 'And again?' },
    ])
  })

  it('is sent without its calls to a model without tools', async () => {
    const { chat } = openChat([sum, three])
    await chat.send('1 + 2?')
    const engine = createScriptedEngine(() => three)
    Object.assign(engine.info, {
      supports: { ...engine.info.supports, roles: ['user', 'assistant'], options: [] },
    })
    const plain = createChat({ engine, messages: chat.getSnapshot().messages })
    await plain.send('And again?')
    expect(engine.requests[0]?.prompt).toEqual([
      { role: 'user', content: '1 + 2?' },
      { role: 'assistant', content: 'It is 3.' },
      { role: 'user', content: 'And again?' },
    ])
  })

  it('fails on an engine without tools: the option is not ignored', async () => {
    const { chat, engine } = openChat([three])
    Object.assign(engine.info, { supports: { ...engine.info.supports, options: [] } })
    const { state } = await chat.send('1 + 2?')
    expect(state).toMatchObject({
      kind: 'failed',
      error: { code: 'invalid-option', message: expect.stringContaining('"tools"') },
    })
  })

  it('that was running when it was stored is a stopped one', () => {
    const running = { id: 'a', name: 'add', arguments: '{', state: { kind: 'running' } } as const
    const answer: Answer = {
      id: '2',
      role: 'assistant',
      text: '',
      rounds: [{ text: '', calls: [running] }],
      state: { kind: 'streaming' },
    }
    const { chat } = openChat([], { messages: [{ id: '1', role: 'user', text: 'Hi' }, answer] })
    expect(callsOf(lastAnswer(chat.getSnapshot()))).toMatchObject([
      { kind: 'failed', message: 'The answer was stopped.' },
    ])
  })

  it('whose arguments are not JSON is sent as one without, and with its error', async () => {
    const { chat, engine } = openChat([{ words: [call('a', 'add', '{"a":1,')], end: 'length' }, three])
    await chat.send('1 + 2?')
    await chat.send('And?')
    expect(engine.requests[1]?.prompt).toMatchObject([
      { role: 'user' },
      { role: 'assistant', tool_calls: [{ function: { arguments: '{}' } }] },
      { role: 'tool', content: 'Error: The call was not run. The arguments were: {"a":1,' },
      { role: 'user', content: 'And?' },
    ])
  })

  it('is answered again from its question', async () => {
    const { chat, engine } = openChat([sum, three, { words: ['3'] }])
    await chat.send('1 + 2?')
    const answer = await chat.regenerate()
    expect(answer).toMatchObject({ text: '3' })
    expect(answer).not.toHaveProperty('rounds')
    expect(engine.requests[2]?.prompt).toEqual([{ role: 'user', content: '1 + 2?' }])
  })

  it('continues its text, without calls', async () => {
    const { chat, engine } = openChat([sum, { words: ['It is'], end: 'length' }, { words: [' 3.'] }])
    const { id } = await chat.send('1 + 2?')
    const answer = await chat.continue()
    expect(answer).toMatchObject({ id, text: 'It is 3.', rounds: [{ calls: [{ id: 'a' }] }] })
    expect(engine.requests[2]).toMatchObject({
      assistantPrefix: 'It is',
      options: { toolChoice: 'none' },
      prompt: [{ role: 'user' }, { role: 'assistant', tool_calls: [{ id: 'a' }] }, { role: 'tool' }],
    })
  })

  it('without a text is continued after its last round', async () => {
    const broken: Script = { words: [], end: new RivuletError('generation-failed', 'It broke.') }
    const { chat, engine } = openChat([sum, broken, sum, three])
    await chat.send('1 + 2?')
    expect(await chat.continue()).toMatchObject({ text: 'It is 3.', rounds: [{}, {}] })
    expect(engine.requests[2]).toMatchObject({
      assistantPrefix: undefined,
      options: { tools: [{ name: 'add' }] },
    })
    expect(engine.requests[2]?.prompt).toHaveLength(3)
  })

  it('counts for the context', async () => {
    const long = calling(call('a', 'add', `{"a":1,"b":2,"c":"${'x'.repeat(60)}"}`))
    const rest = [long, { words: ['3'] }, { words: ['4'] }]
    const engine = createScriptedEngine(() => rest.shift()!, { contextLength: 160 })
    const chat = createChat({ engine, tools: [add] })
    await chat.send('1 + 2?')
    await chat.send('x'.repeat(90))
    expect(chat.getSnapshot().forgottenMessages).toBe(2)
  })
})

describe('a chat refuses, by its name,', () => {
  const { engine } = openChat([])
  const answer = (rounds: unknown) => [
    { id: '1', role: 'assistant', text: '', rounds, state: { kind: 'streaming' } },
  ]
  it.each<[string, object]>([
    ['"tools"', { tools: {} }],
    ['tools[0].run', { tools: [{ name: 'look' }] }],
    ['tools[0].name', { tools: [{ name: 'look up', run() {} }] }],
    ['tools[0] has no field "execute"', { tools: [{ name: 'look', run() {}, execute() {} }] }],
    ['two tools', { tools: [add, add] }],
    [
      'cannot give its JSON schema',
      {
        tools: [
          { name: 'look', run() {}, parameters: { '~standard': { version: 1, vendor: 'x', validate() {} } } },
        ],
      },
    ],
    ['"maxToolRounds"', { maxToolRounds: 0 }],
    ['"toolChoice"', { tools: [], sampling: { toolChoice: 'required' } }],
    ['"responseFormat"', { sampling: { responseFormat: 'xml' } }],
    ['"tools"', { sampling: { tools: [] } }],
    ['rounds', { messages: answer([]) }],
    ['rounds', { messages: answer([{ text: '', calls: [] }]) }],
    ['rounds', { messages: answer([{ text: '', calls: [{ id: 1 }] }]) }],
    [
      'rounds',
      { messages: answer([{ text: '', calls: [{ id: 'a', name: 'b', arguments: '', state: {} }] }]) },
    ],
    [
      'reasoning',
      { messages: [{ id: '1', role: 'assistant', text: '', reasoning: 5, state: { kind: 'streaming' } }] },
    ],
  ])('%s', (reason, options) => {
    const create = () => createChat({ engine, tools: [add], ...options } as ChatOptions)
    expect(create).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(reason) }),
    )
  })
})
