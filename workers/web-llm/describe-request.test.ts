import { beforeAll, describe, expect, it } from 'vitest'
import type { RequestOptions } from '../../lib/contract/request.js'
import { chatRequest, textRequest } from '../request.test-support.js'
import { loadXgrammar } from '../text/grammar/load-xgrammar.test-support.js'
import { describeRequest, readRequestRules } from './describe-request.js'

const config = {
  vocab_size: 1000,
  context_window_size: 400,
  conv_template: {
    system_template: '{system_message}',
    roles: { user: '<|user|>', assistant: '<|assistant|>' },
    role_empty_sep: '',
    seps: ['<|end|>'],
    stop_str: ['<|end|>'],
  },
}
const marks = ['<think>', '</think>']
const thinking = {
  encode: (text: string) => [marks.indexOf(text)],
  idToToken: (id: number) => marks[id] ?? '',
}
const schema = {
  type: 'object',
  properties: { a: { type: 'integer', minimum: 0, maximum: 9 } },
  required: ['a'],
  additionalProperties: false,
}
const responseFormat = { kind: 'json-schema', schema } as const

describe('the grammar of a form (real XGrammar)', () => {
  let isComplete: (options: Partial<RequestOptions>, text: string) => Promise<boolean>

  beforeAll(async () => {
    const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = await loadXgrammar()
    const info = await TokenizerInfo.createTokenizerInfo(['a', 'b', '</s>'], 'raw', false, 3, [2])
    const compiler = await GrammarCompiler.createGrammarCompiler(info, false)
    isComplete = async (options, text) => {
      const rules = readRequestRules({ config, tokenizer: thinking }, false)
      const { parameters } = describeRequest(chatRequest('Hi', { responseFormat, ...options }), rules)
      const compiled = await compiler.compileGrammar(parameters.response_format!.grammar)
      const matcher = await GrammarMatcher.createGrammarMatcher(compiled)
      // The package has no other way to accept a text.
      // oxlint-disable-next-line no-underscore-dangle
      return matcher._acceptString(text) && matcher.acceptToken(2)
    }
  }, 60_000)

  it.each([
    ['{"a": 1}', true],
    ['<think>\nA dragon, é 🐉 < </thin\n</think>\n\n{"a": 1}', true],
    ['<think></think>{"a": 1}', true],
    ['<think>\nA dragon', false],
    ['A dragon. {"a": 1}', false],
    ['<think>x</think>\n\nIt is {"a": 1}', false],
    ['<think>x</think>\n\n{"a": 10}', false],
  ])('allows a thought before the value: %j is complete: %s', async (text, expected) => {
    expect(await isComplete({}, text)).toBe(expected)
  })

  it('has no thought if the reasoning is off', async () => {
    expect(await isComplete({ reasoning: 'off' }, '{"a": 1}')).toBe(true)
    expect(await isComplete({ reasoning: 'off' }, '<think>x</think>{"a": 1}')).toBe(false)
  })
})

it('a form of raw text is refused by name: web-llm would ignore it', () => {
  const rules = readRequestRules({ config, tokenizer: thinking }, false)
  expect(() => describeRequest(textRequest('Hi', { responseFormat }), rules)).toThrow(
    expect.objectContaining({
      code: 'invalid-option',
      message: expect.stringContaining('"responseFormat"'),
      details: { option: 'responseFormat' },
    }),
  )
})
