import { describe, expect, it } from 'vitest'
import { checkRequest, type GenerateOptions } from './options.js'

/** Checks what no type would let through, as callers in JavaScript can give it. */
const check = (options: unknown) => checkRequest('Hi', options as GenerateOptions)

const refusal = (...words: readonly string[]) =>
  expect.objectContaining({
    name: 'RivuletError',
    code: 'invalid-option',
    message: expect.toSatisfy((message: string) => words.every((word) => message.includes(word))),
  })

describe.each(['frequencyPenalty', 'presencePenalty'])('"%s"', (name) => {
  it.each([-2, -0.5, 0, 2])('is taken as it is: %d', (value) => {
    expect(check({ [name]: value })).toEqual({ prompt: 'Hi', stop: [], [name]: value })
  })

  it.each([[-2.01], [2.01], [NaN], [Infinity], ['1'], [null], [[]]])('is refused by name: %o', (value) => {
    expect(() => check({ [name]: value })).toThrow(refusal(`"${name}"`, 'from -2 up to 2'))
  })
})

describe('"logitBias"', () => {
  it.each([{}, { 0: 100, 50256: -100 }, { 4294967295: 0.5 }])('is taken as it is: %j', (logitBias) => {
    expect(check({ logitBias })).toEqual({ prompt: 'Hi', stop: [], logitBias })
  })

  it('may be undefined', () => {
    expect(check({ logitBias: undefined })).toEqual({ prompt: 'Hi', stop: [] })
  })

  it('may have 1,024 tokens, and no more', () => {
    const entries = Array.from({ length: 1025 }, (_, id) => [id, 1] as const)
    const most = Object.fromEntries(entries.slice(1))
    expect(check({ logitBias: most }).logitBias).toEqual(most)
    expect(() => check({ logitBias: Object.fromEntries(entries) })).toThrow(refusal('1024', 'got 1025'))
  })

  it.each([
    ['null', null],
    ['a list', [1, 2]],
    ['a number', 5],
    ['a text', '5'],
  ])('is refused: %s', (_, logitBias) => {
    expect(() => check({ logitBias })).toThrow(refusal('"logitBias"', 'object'))
  })

  it.each(['-1', '1.5', '01', 'the', '', '1e3', '99999999999', ' 1'])('takes no such token: "%s"', (id) => {
    expect(() => check({ logitBias: { [id]: 1 } })).toThrow(refusal('"logitBias"', JSON.stringify(id)))
  })

  it.each([[100.5], [-101], [NaN], [Infinity], ['5'], [null], [undefined], [Symbol('5')]])(
    'takes no such bias: %o',
    (bias) => {
      expect(() => check({ logitBias: { 7: bias } })).toThrow(
        refusal('"logitBias"', '-100 to 100', 'token 7'),
      )
    },
  )

  it('can be posted to a worker and stays as it was checked, whatever it was made of', () => {
    const logitBias: Record<number, number> = { 5: 1 }
    const request = check({ logitBias: new Proxy(logitBias, {}) })
    logitBias[5] = 200
    expect(structuredClone(request).logitBias).toEqual({ 5: 1 })
  })
})
