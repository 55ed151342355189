import { describe, expect, it } from 'vitest'
import {
  checkPrefillRequest,
  checkPromptRequest,
  checkRequest,
  type CheckedRequest,
} from './check-request.js'
import type { ChatMessage, GenerateOptions, Prompt } from './contract/request.js'

/** Takes what no type would allow: callers can be written in JavaScript. */
function check(prompt: unknown, options?: unknown): CheckedRequest {
  return checkRequest(prompt as Prompt, options as GenerateOptions)
}

/** An `invalid-option` error whose message contains all of these words. */
const refusal = (...words: readonly string[]) =>
  expect.objectContaining({
    name: 'RivuletError',
    code: 'invalid-option',
    message: expect.toSatisfy((message: string) => words.every((word) => message.includes(word))),
  })

const user: ChatMessage = { role: 'user', content: 'Hi' }

/** The checked request of a prompt without options. */
const plain = (prompt: unknown) => ({
  prompt,
  assistantPrefix: undefined,
  applyChatTemplate: undefined,
  options: { stop: [] },
})

/** Values that no numeric option accepts. */
const notNumbers = [
  NaN,
  Infinity,
  -Infinity,
  '1',
  '',
  null,
  true,
  [],
  [1],
  {},
  1n,
  Symbol('1'),
  Object.create(null),
]

const numbers = {
  maxTokens: { good: [1, 2, 100_000, Number.MAX_SAFE_INTEGER], bad: [0, -0, -1, 1.5, 2 ** 53] },
  temperature: { good: [0, 0.7, 1, 100], bad: [-0.1, 100.1] },
  topK: { good: [0, 1, 50, 1_000_000], bad: [-1, 0.5, 2 ** 53] },
  topP: { good: [Number.MIN_VALUE, 0.5, 1], bad: [0, -0.5, 1.000_001] },
  minP: { good: [0, 0.05, 1], bad: [-0.05, 1.000_001] },
  frequencyPenalty: { good: [-2, 0, 0.5, 2], bad: [-2.1, 2.1] },
  presencePenalty: { good: [-2, 0, 0.5, 2], bad: [-2.1, 2.1] },
  repetitionPenalty: { good: [0.5, 1, 1.1, 100], bad: [0, -1, 100.1] },
  seed: { good: [0, 42, 2 ** 32 - 1], bad: [-1, 0.5, 2 ** 32] },
} as const

const table = Object.entries(numbers)

describe.each(table)('"%s"', (name, { good, bad }) => {
  it.each([...bad, ...notNumbers].map((value) => [value]))('is refused by name: %o', (value) => {
    expect(() => check('Hi', { [name]: value })).toThrow(refusal(`"${name}"`))
    expect(() => check('Hi', { [name]: value })).toThrow(
      expect.objectContaining({ details: { option: name } }),
    )
  })

  it.each(good.map((value) => [value]))('is accepted: %d', (value) => {
    expect(check('Hi', { [name]: value }).options).toEqual({ stop: [], [name]: value })
  })
})

describe('a refused number', () => {
  it('is reported with its range', () => {
    expect(() => check('Hi', { temperature: -1 })).toThrow(refusal('a number from 0 to 100', 'got -1'))
    expect(() => check('Hi', { topP: 0 })).toThrow(refusal('a number above 0, up to 1', 'got 0'))
    expect(() => check('Hi', { maxTokens: 1.5 })).toThrow(refusal('an integer of at least 1;', 'got 1.5'))
  })
})

describe('"stop"', () => {
  const long = 'x'.repeat(256)

  it.each<[unknown, readonly string[]]>([
    [undefined, []],
    [[], []],
    ['END', ['END']],
    [
      ['a', '\n'],
      ['a', '\n'],
    ],
    [long, [long]],
    [Array.from({ length: 16 }, () => 'x'), Array.from({ length: 16 }, () => 'x')],
  ])('becomes a list: %j', (stop, expected) => {
    expect(check('Hi', { stop }).options.stop).toEqual(expected)
  })

  it.each([
    ['an empty string', ''],
    ['an empty string in a list', ['a', '']],
    ['a number', 5],
    ['null', null],
    ['a list with something else', ['a', null]],
    ['a set', new Set(['a'])],
    ['a long string', `${long}x`],
    ['too many', Array.from({ length: 17 }, () => 'x')],
  ])('is refused: %s', (_, stop) => {
    expect(() => check('Hi', { stop })).toThrow(refusal('"stop"'))
  })
})

describe('"templateVariables"', () => {
  it('is copied: plain data with values of JSON', () => {
    const variables = { enable_thinking: false, tools: [{ name: 'x', days: 1.5, none: null }], documents: {} }
    const { options } = check('Hi', { templateVariables: { ...variables, missing: undefined } })
    expect(options.templateVariables).toEqual(variables)
    expect(options.templateVariables).not.toBe(variables)
  })

  const nested = (levels: number): unknown => (levels === 0 ? 'x' : [nested(levels - 1)])

  it.each<[string, unknown, string]>([
    ['a list', [], 'must be an object'],
    ['null', null, 'must be an object'],
    ['a string', 'x', 'must be an object'],
    ['messages', { messages: [] }, '"messages"'],
    ['the start of the answer', { add_generation_prompt: false }, '"add_generation_prompt"'],
    ['a function', { a: { b: [() => 1] } }, 'got Function at templateVariables.a.b[0]'],
    ['undefined in a list', { a: [undefined] }, 'got Undefined at templateVariables.a[0]'],
    ['a number that JSON lacks', { a: NaN }, 'got Number at templateVariables.a'],
    ['a date', { a: new Date() }, 'got Date at templateVariables.a'],
    ['too many levels', { a: nested(32) }, '32 levels'],
    ['too many characters', { a: 'x'.repeat(2 ** 20) }, '1048576 characters'],
  ])('is refused: %s', (_, templateVariables, words) => {
    expect(() => check('Hi', { templateVariables })).toThrow(refusal('"templateVariables"', words))
  })

  it('of an object that contains itself is refused', () => {
    const circle: Record<string, unknown> = {}
    circle.self = circle
    expect(() => check('Hi', { templateVariables: circle })).toThrow(refusal('32 levels'))
  })
})

describe('"logitBias"', () => {
  it.each([{}, { 0: 100, 50256: -100 }, { 4294967295: 0.5 }])('is accepted: %j', (logitBias) => {
    expect(check('Hi', { logitBias }).options).toEqual({ stop: [], logitBias })
  })

  it('takes up to 1,024 tokens', () => {
    const entries = Array.from({ length: 1025 }, (_, id) => [id, 1] as const)
    const most = Object.fromEntries(entries.slice(1))
    expect(check('Hi', { logitBias: most }).options.logitBias).toEqual(most)
    expect(() => check('Hi', { logitBias: Object.fromEntries(entries) })).toThrow(refusal('1024', 'got 1025'))
  })

  it.each([
    ['null', null],
    ['a list', [1, 2]],
    ['a number', 5],
    ['a string', '5'],
  ])('is refused: %s', (_, logitBias) => {
    expect(() => check('Hi', { logitBias })).toThrow(refusal('"logitBias"', 'object'))
  })

  it.each(['-1', '1.5', '01', 'the', '', '1e3', '99999999999', ' 1'])('refuses the token id "%s"', (id) => {
    expect(() => check('Hi', { logitBias: { [id]: 1 } })).toThrow(refusal('"logitBias"', JSON.stringify(id)))
  })

  it.each([[100.5], [-101], [NaN], [Infinity], ['5'], [null], [undefined], [Symbol('5')]])(
    'refuses the bias %o',
    (bias) => {
      expect(() => check('Hi', { logitBias: { 7: bias } })).toThrow(
        refusal('"logitBias"', '-100 to 100', 'token 7'),
      )
    },
  )

  it('is copied: a proxy can be posted, and later changes have no effect', () => {
    const logitBias: Record<number, number> = { 5: 1 }
    const { options } = check('Hi', { logitBias: new Proxy(logitBias, {}) })
    logitBias[5] = 200
    expect(structuredClone(options).logitBias).toEqual({ 5: 1 })
  })
})

describe('"applyChatTemplate"', () => {
  it('is true or false', () => {
    expect(check('Hi', { applyChatTemplate: false })).toMatchObject({ applyChatTemplate: false })
    expect(check([user], { applyChatTemplate: true })).toMatchObject({ applyChatTemplate: true })
    for (const value of ['false', 0, 1, null]) {
      expect(() => check('Hi', { applyChatTemplate: value })).toThrow(refusal('"applyChatTemplate"'))
    }
  })

  it('refuses messages when it is false', () => {
    expect(() => check([user], { applyChatTemplate: false })).toThrow(refusal('applyChatTemplate'))
  })
})

describe('"continueFinalMessage"', () => {
  const partial = { role: 'assistant', content: 'Once' } as const

  it('makes the last message the start of the answer', () => {
    const request = check([user, partial], { continueFinalMessage: true })
    expect(request).toEqual({ ...plain([user]), assistantPrefix: 'Once' })
  })

  it('leaves the message in the conversation when it is missing or false', () => {
    expect(check([user, partial])).toEqual(plain([user, partial]))
    expect(check([user, partial], { continueFinalMessage: false })).toEqual(plain([user, partial]))
  })

  it.each([
    ['a string', 'Once', true],
    ['a conversation that ends with the user', [user, partial, user], true],
    ['a conversation without another message', [partial], true],
    ['anything but true or false', [user, partial], 'true'],
  ])('is refused: %s', (_, prompt, value) => {
    expect(() => check(prompt, { continueFinalMessage: value })).toThrow(refusal('"continueFinalMessage"'))
  })

  it('is refused without the chat template', () => {
    const options = { continueFinalMessage: true, applyChatTemplate: false }
    expect(() => check([user, partial], options)).toThrow(refusal('applyChatTemplate'))
    expect(() => check('Once', options)).toThrow(refusal('"continueFinalMessage"'))
  })
})

describe('"signal"', () => {
  it('is an AbortSignal, and stays on the page', () => {
    const request = check('Hi', { signal: new AbortController().signal, seed: 1 })
    expect(request).toEqual({ ...plain('Hi'), options: { stop: [], seed: 1 } })
    for (const value of [null, new AbortController(), {}, 'abort']) {
      expect(() => check('Hi', { signal: value })).toThrow(refusal('"signal"'))
    }
  })
})

describe('options', () => {
  it.each(['max_tokens', 'maxtokens', 'stream', 'temprature', '0', ''])(
    'that do not exist are refused: "%s"',
    (name) => {
      expect(() => check('Hi', { [name]: 1 })).toThrow(refusal(`"${name}"`, 'maxTokens', 'stop', 'signal'))
    },
  )

  it.each([null, 5, 'maxTokens', true])('must be an object: %j', (options) => {
    expect(() => check('Hi', options)).toThrow(refusal())
  })

  it('may be left out or undefined', () => {
    expect(check('Hi')).toEqual(plain('Hi'))
    expect(check('Hi', {})).toEqual(plain('Hi'))
    expect(check('Hi', { temperature: undefined, stop: undefined, signal: undefined })).toEqual(plain('Hi'))
  })
})

describe('a prompt', () => {
  it.each([
    ['a string', 'Hi'],
    ['white space', ' '],
    ['a message', [user]],
    ['a conversation', [{ role: 'system', content: '' }, user, { role: 'assistant', content: 'Yes?' }, user]],
  ])('may be %s', (_, prompt) => {
    expect(check(prompt)).toEqual(plain(prompt))
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty string', ''],
    ['a number', 5],
    ['no messages', []],
    ['one message without a list', user],
    ['a list with a string', ['Hi']],
    ['a list with null', [user, null]],
    ['a list with a hole', Array(1)],
  ])('may not be %s', (_, prompt) => {
    expect(() => check(prompt)).toThrow(refusal())
  })

  it.each([
    ['an unknown role', { role: 'critic', content: 'Hi' }, 'role'],
    ['a tool’s result without its call', { role: 'tool', content: 'Hi' }, 'tool_call_id'],
    ['a call without a name', { role: 'assistant', tool_calls: [{ id: 'a' }] }, 'tool_calls'],
    ['no role', { content: 'Hi' }, 'role'],
    ['a role that JSON cannot write', { role: 1n, content: 'Hi' }, 'role'],
    ['no content', { role: 'user' }, 'content'],
    ['null for a content', { role: 'assistant', content: null }, 'content'],
    ['an object for a content', { role: 'user', content: { text: 'Hi' } }, 'content'],
  ])('may not have a message with %s; the error says which', (_, message, field) => {
    expect(() => check([user, message])).toThrow(refusal(`messages[1].${field}`))
  })

  it.each([
    ['an image', { type: 'image_url', image_url: { url: 'data:,' } }, '"image_url"'],
    ['audio', { type: 'input_audio', input_audio: {} }, '"input_audio"'],
    ['a part whose type JSON cannot write', { type: 1n }, '1'],
    ['null', null, 'undefined'],
  ])('may not have a message with %s; the error says that engines read text', (_, part, words) => {
    const content = [{ type: 'text', text: 'What is this?' }, part]
    expect(() => check([{ role: 'user', content }])).toThrow(refusal('messages[0].content', words, 'text'))
  })

  it('is copied, so that it can be posted to a worker', () => {
    // Vue and others use proxies, which structured cloning refuses; apps keep more fields in a message.
    const messages = new Proxy([new Proxy({ ...user, onClick: () => {} }, {})], {})
    const request = check(messages, { stop: new Proxy(['END'], {}) })
    expect(structuredClone(request)).toEqual({ ...plain([user]), options: { stop: ['END'] } })
  })

  it('does not change when its messages change later', () => {
    const messages = [{ ...user }]
    const request = check(messages)
    messages[0]!.content = 'Bye'
    messages.push(user)
    expect(request.prompt).toEqual([user])
  })
})

describe('the texts of a prompt', () => {
  it.each(['\uD83D', 'a\uDC09b', 'ends in half: \uD83D'])(
    'are refused with half a surrogate pair: %j',
    (text) => {
      expect(() => check(text)).toThrow(refusal('surrogate'))
      expect(() => check([user, { role: 'user', content: text }])).toThrow(refusal('surrogate'))
    },
  )

  it.each(['🐉', '\u0000', '\u202Eright to left', '\uFEFF'])('are accepted: %j', (text) => {
    expect(check(text).prompt).toBe(text)
  })

  it('have a maximum length, each and together', () => {
    const half = 'a'.repeat(2 ** 20)
    expect(check(half + half).prompt).toHaveLength(2 ** 21)
    expect(() => check(`${half}${half}a`)).toThrow(refusal('2097152', '2097153'))
    const message = { role: 'user', content: half }
    expect(() => check([message, message, user])).toThrow(refusal('2097152', '2097154'))
  })

  it('have a maximum number', () => {
    const messages = Array.from({ length: 10_000 }, () => user)
    expect(check(messages).prompt).toHaveLength(10_000)
    expect(() => check([...messages, user])).toThrow(refusal('10000', '10001'))
  })
})

it('a count of tokens takes only the options that change the prompt', () => {
  const options = { templateVariables: { date: 'today' }, reasoning: 'off', applyChatTemplate: true } as const
  expect(checkPromptRequest('countTokens()', [user], options)).toEqual(check([user], options))
  const other = { temperature: 0 } as Parameters<typeof checkPromptRequest>[2]
  expect(() => checkPromptRequest('countTokens()', [user], other)).toThrow(
    refusal('countTokens()', '"temperature"', 'tools'),
  )
  expect(() => checkPromptRequest('prefill()', '')).toThrow(refusal('empty'))
  expect(() => checkPromptRequest('prefill()', 'Hi', null as never)).toThrow(refusal('object'))
})

it('a prefill also takes whether to keep the prefix', () => {
  const { checked, keepPrefix } = checkPrefillRequest([user], { reasoning: 'off', keepPrefix: true })
  expect(checked).toEqual(check([user], { reasoning: 'off' }))
  expect(keepPrefix).toBe(true)
  expect(checkPrefillRequest([user]).keepPrefix).toBe(false)
  expect(() => checkPrefillRequest([user], { keepPrefix: 1 as never })).toThrow(refusal('keepPrefix'))
  expect(() => checkPrefillRequest([user], { temperature: 0 } as never)).toThrow(refusal('"temperature"'))
  expect(() => checkPrefillRequest([user], null as never)).toThrow(refusal('object'))
})
