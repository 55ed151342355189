import { describe, expect, it } from 'vitest'
import {
  checkRequest,
  type ChatMessage,
  type GenerateOptions,
  type CheckedRequest,
  type Prompt,
} from './options.js'

/** Checks what no type would let through, as callers in JavaScript can give it. */
function check(prompt: unknown, options?: unknown): CheckedRequest {
  return checkRequest(prompt as Prompt, options as GenerateOptions)
}

/** An `invalid-option` whose message has all of these words. */
const refusal = (...words: readonly string[]) =>
  expect.objectContaining({
    name: 'RivuletError',
    code: 'invalid-option',
    message: expect.toSatisfy((message: string) => words.every((word) => message.includes(word))),
  })

const user: ChatMessage = { role: 'user', content: 'Hi' }

/** What no numeric option takes. */
const noNumbers = [
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
  it.each([...bad, ...noNumbers].map((value) => [value]))('is refused by name: %o', (value) => {
    expect(() => check('Hi', { [name]: value })).toThrow(refusal(`"${name}"`))
  })

  it.each(good.map((value) => [value]))('is taken as it is: %d', (value) => {
    expect(check('Hi', { [name]: value })).toEqual({ prompt: 'Hi', stop: [], [name]: value })
  })
})

describe('a refused number', () => {
  it('is told with its range', () => {
    expect(() => check('Hi', { temperature: -1 })).toThrow(refusal('a number from 0 up to 100', 'got -1'))
    expect(() => check('Hi', { topP: 0 })).toThrow(refusal('a number above 0 up to 1', 'got 0'))
    expect(() => check('Hi', { maxTokens: 1.5 })).toThrow(refusal('an integer from 1;', 'got 1.5'))
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
    expect(check('Hi', { stop }).stop).toEqual(expected)
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

describe('"logitBias"', () => {
  it('is taken as it is, as a plain copy', () => {
    const logitBias = new Proxy({ 0: -100, 15: 1.5 }, {})
    expect(structuredClone(check('Hi', { logitBias }))).toEqual({
      prompt: 'Hi',
      stop: [],
      logitBias: { 0: -100, 15: 1.5 },
    })
  })

  it.each([
    ['null', null],
    ['a list', [1]],
    ['a number', 1],
    ['a name that is no token id', { hello: 1 }],
    ['a negative token id', { '-1': 1 }],
    ['a fractional token id', { 1.5: 1 }],
    ['a bias that is too large', { 1: 101 }],
    ['a bias that is too small', { 1: -101 }],
    ['a bias that is no number', { 1: '5' }],
    ['NaN', { 1: NaN }],
  ])('is refused: %s', (_, logitBias) => {
    expect(() => check('Hi', { logitBias })).toThrow(refusal('"logitBias"'))
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

  it('false takes no messages', () => {
    expect(() => check([user], { applyChatTemplate: false })).toThrow(refusal('applyChatTemplate'))
  })
})

describe('"continueFinalMessage"', () => {
  const begun = { role: 'assistant', content: 'Once' } as const

  it('makes the last message the beginning of the answer', () => {
    const request = check([user, begun], { continueFinalMessage: true })
    expect(request).toEqual({ prompt: [user], begun: 'Once', stop: [] })
  })

  it('left out or false leaves it in the conversation', () => {
    expect(check([user, begun])).toEqual({ prompt: [user, begun], stop: [] })
    expect(check([user, begun], { continueFinalMessage: false })).toEqual({ prompt: [user, begun], stop: [] })
  })

  it.each([
    ['a text', 'Once', true],
    ['a conversation that ends with the user', [user, begun, user], true],
    ['a conversation of nothing else', [begun], true],
    ['anything but true or false', [user, begun], 'true'],
  ])('is refused: %s', (_, prompt, value) => {
    expect(() => check(prompt, { continueFinalMessage: value })).toThrow(refusal('"continueFinalMessage"'))
  })

  it('is refused without the chat template', () => {
    const options = { continueFinalMessage: true, applyChatTemplate: false }
    expect(() => check([user, begun], options)).toThrow(refusal('applyChatTemplate'))
    expect(() => check('Once', options)).toThrow(refusal('"continueFinalMessage"'))
  })
})

describe('"signal"', () => {
  it('is an AbortSignal, and stays on the page', () => {
    const request = check('Hi', { signal: new AbortController().signal, seed: 1 })
    expect(request).toEqual({ prompt: 'Hi', stop: [], seed: 1 })
    expect('signal' in request).toBe(false)
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
    expect(check('Hi')).toEqual({ prompt: 'Hi', stop: [] })
    expect(check('Hi', {})).toEqual({ prompt: 'Hi', stop: [] })
    expect(check('Hi', { temperature: undefined, stop: undefined, signal: undefined })).toEqual({
      prompt: 'Hi',
      stop: [],
    })
  })
})

describe('a prompt', () => {
  it.each([
    ['a text', 'Hi'],
    ['white space', ' '],
    ['a message', [user]],
    ['a conversation', [{ role: 'system', content: '' }, user, { role: 'assistant', content: 'Yes?' }, user]],
  ])('may be %s', (_, prompt) => {
    expect(check(prompt)).toEqual({ prompt, stop: [] })
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty text', ''],
    ['a number', 5],
    ['no messages', []],
    ['one message without a list', user],
    ['a list with a text', ['Hi']],
    ['a list with null', [user, null]],
    ['a list with a hole', Array(1)],
  ])('may not be %s', (_, prompt) => {
    expect(() => check(prompt)).toThrow(refusal())
  })

  it.each([
    ['a role that is none', { role: 'tool', content: 'Hi' }, 'role'],
    ['no role', { content: 'Hi' }, 'role'],
    ['a role that JSON cannot write', { role: 1n, content: 'Hi' }, 'role'],
    ['no content', { role: 'user' }, 'content'],
    ['null for a content', { role: 'assistant', content: null }, 'content'],
    ['parts for a content', { role: 'user', content: [{ type: 'text', text: 'Hi' }] }, 'content'],
  ])('may not have a message with %s, and is told which', (_, message, field) => {
    expect(() => check([user, message])).toThrow(refusal(`messages[1].${field}`))
  })

  it('can be posted to a worker, whatever a framework made of its messages', () => {
    // Vue and others hand out proxies, which structured cloning refuses; apps keep more in a message than it needs.
    const messages = new Proxy([new Proxy({ ...user, onClick: () => {} }, {})], {})
    const request = check(messages, { stop: new Proxy(['END'], {}) })
    expect(structuredClone(request)).toEqual({ prompt: [user], stop: ['END'] })
  })

  it('stays as it was checked when its messages change', () => {
    const messages = [{ ...user }]
    const request = check(messages)
    messages[0]!.content = 'Bye'
    messages.push(user)
    expect(request.prompt).toEqual([user])
  })
})

describe('the texts of a prompt', () => {
  it.each(['\uD83D', 'a\uDC09b', 'ends in half: \uD83D'])('are refused with half a character: %j', (text) => {
    expect(() => check(text)).toThrow(refusal('surrogate'))
    expect(() => check([user, { role: 'user', content: text }])).toThrow(refusal('surrogate'))
  })

  it.each(['🐉', '\u0000', '\u202Eright to left', '\uFEFF'])('are taken as they are: %j', (text) => {
    expect(check(text).prompt).toBe(text)
  })

  it('are bounded, one by one and together', () => {
    const half = 'a'.repeat(2 ** 20)
    expect(check(half + half).prompt).toHaveLength(2 ** 21)
    expect(() => check(`${half}${half}a`)).toThrow(refusal('2097152', '2097153'))
    const message = { role: 'user', content: half }
    expect(() => check([message, message, user])).toThrow(refusal('2097152', '2097154'))
  })

  it('are bounded in number', () => {
    const messages = Array.from({ length: 10_000 }, () => user)
    expect(check(messages).prompt).toHaveLength(10_000)
    expect(() => check([...messages, user])).toThrow(refusal('10000', '10001'))
  })
})
