// What an answer may consist of, in the engine that holds it. The tokens are the bytes, so any text is possible.
import { beforeAll, describe, expect, it } from 'vitest'
import type { RequestOptions, RequestTool } from '../../lib/contract/request.js'
import * as families from './channels/answer-fixtures.test-support.js'
import type { AnswerFamily } from './channels/answer-family.js'
import { describeAnswer } from './answer-grammar.js'
import type { GrammarEngine } from './grammar/grammar-engine.js'
import { loadXgrammar } from './grammar/load-xgrammar.test-support.js'
import { createXgrammarEngine } from './grammar/xgrammar-engine.js'

const endId = 256
let engine: GrammarEngine
beforeAll(async () => {
  const tokens = Array.from({ length: 257 }, (_, id) => (id === endId ? undefined : [id]))
  engine = await createXgrammarEngine(await loadXgrammar(), {
    tokens,
    endIds: new Set([endId]),
    hasMarks: false,
  })
})

const tools: readonly RequestTool[] = [
  {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['city'],
    },
  },
  { name: 'clock', parameters: { type: 'object', properties: {} } },
]

type Options = Partial<RequestOptions>

/** Returns whether an answer may be this text: `no`, `start` or `whole`. */
async function judge(
  text: string,
  options: Options,
  family: AnswerFamily = families.hermes,
  place = { isInThought: false, canThink: false },
): Promise<'no' | 'start' | 'whole' | 'free'> {
  const grammar = describeAnswer({ tools, ...options }, { family, ...place })
  if (!grammar) return 'free'
  const matcher = await (await engine.compile(grammar.form, grammar.option)).createMatcher()
  const bytes = [...new TextEncoder().encode(text)]
  const isStart = bytes.every((byte) => matcher.accept(byte))
  const isWhole = isStart && matcher.accept(endId)
  matcher.release()
  return isWhole ? 'whole' : isStart ? 'start' : 'no'
}

const weather = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln", "days": 2}}\n</tool_call>'
const clock = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'

describe('with toolChoice', () => {
  it.each([
    ['auto', 'Hello', 'whole'],
    ['auto', `Hello\n${weather}`, 'whole'],
    ['auto', `${weather}\n${clock}\n`, 'whole'],
    ['auto', '<tool_call>\n{"name": "rm', 'no'],
    ['auto', '<tool_call>\n{"name": "weather", "arguments": {"days"', 'no'],
    ['required', 'Hello', 'no'],
    ['required', weather, 'whole'],
    ['required', `${weather}\n${clock}`, 'whole'],
    ['required', weather.replace('2', '10'), 'no'],
    ['none', 'Hello', 'free'],
  ] as const)('%s, the answer %j is: %s', async (toolChoice, text, expected) => {
    expect(await judge(text, { toolChoice })).toBe(expected)
  })

  it('of one tool, the answer is one call of it', async () => {
    const toolChoice = { name: 'clock' }
    expect(await judge(clock, { toolChoice })).toBe('whole')
    expect(await judge(weather, { toolChoice })).toBe('no')
    expect(await judge(`${clock}\n<`, { toolChoice })).toBe('no')
  })

  it('and parallelToolCalls: false, the answer has at most one call', async () => {
    const options = { toolChoice: 'required', parallelToolCalls: false } as const
    expect(await judge(weather, options)).toBe('whole')
    expect(await judge(`${weather}\n<`, options)).toBe('no')
  })
})

describe('with responseFormat', () => {
  const responseFormat = { kind: 'json-schema', schema: { enum: ['a', 'b'] } } as const
  it('and tools, the answer is the form, or calls', async () => {
    expect(await judge('"a"', { responseFormat })).toBe('whole')
    expect(await judge(`${weather}\n${clock}`, { responseFormat })).toBe('whole')
    expect(await judge('Hello', { responseFormat })).toBe('no')
  })
  it('and a required tool, the answer is a call', async () => {
    expect(await judge('"a"', { responseFormat, toolChoice: 'required' })).toBe('no')
  })
  it('without tools, the answer is the form', async () => {
    expect(await judge('"b"', { responseFormat, tools: [] })).toBe('whole')
  })
})

describe('the thought before an answer', () => {
  const options = { toolChoice: 'required' } as const
  it('is free, and what follows is not', async () => {
    const place = { isInThought: true, canThink: true }
    expect(await judge(`Hm {"\n</think>\n\n${weather}`, options, families.hermes, place)).toBe('whole')
    expect(await judge('Hm\n</think>\n\nHello', options, families.hermes, place)).toBe('no')
  })
  it('can be there or not, if the model decides', async () => {
    const place = { isInThought: false, canThink: true }
    expect(await judge(`<think>\nHm\n</think>\n\n${weather}`, options, families.hermes, place)).toBe('whole')
    expect(await judge(weather, options, families.hermes, place)).toBe('whole')
    expect(await judge('<think>\nHello', { toolChoice: 'auto' }, families.hermes, place)).toBe('whole')
  })
  it('is not there if the reasoning is off', async () => {
    expect(await judge('<think>', options)).toBe('no')
  })
})

describe('the calls of a family', () => {
  const cases: readonly (readonly [name: string, family: AnswerFamily, call: string, wrong: string])[] = [
    [
      'Llama',
      families.llama,
      '{"name": "weather", "parameters": {"city": "x"}}',
      '{"name": "weather", "parameters": {}',
    ],
    [
      'Mistral',
      families.mistralList,
      '[TOOL_CALLS] [{"name": "clock", "arguments": {}}]',
      '[TOOL_CALLS] [{"name": "x',
    ],
    [
      'Mistral',
      families.mistralNamed,
      '[TOOL_CALLS]weather[ARGS]{"city": "x"}',
      '[TOOL_CALLS]weather[ARGS]{"days',
    ],
    [
      'Qwen3-Coder',
      families.qwenCoder,
      '<tool_call>\n<function=weather>\n<parameter=city>\nK<b></p>\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>',
      '<tool_call>\n<function=weather>\n<parameter=days>',
    ],
    [
      'GLM-4.5',
      families.glm,
      '<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n</tool_call>',
      '<tool_call>weather\n<arg_key>days',
    ],
    [
      'LFM2',
      families.lfm2,
      '<|tool_call_start|>[weather(city="x", days=2), clock()]<|tool_call_end|>',
      '<|tool_call_start|>[weather(days',
    ],
    ['Gemma 3', families.gemma3, '```tool_code\nweather(city="x")\n```', "```tool_code\nweather(city='"],
    [
      'Gemma 4',
      families.gemma4,
      '<|tool_call>call:weather{city:<|"|>x<|"|>,days:2}<tool_call|>',
      '<|tool_call>call:weather{city:<|"|>x<|"|>,days:0',
    ],
    [
      'DeepSeek R1',
      families.deepSeek,
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>clock\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>x',
    ],
    [
      'Kimi K2',
      families.kimi,
      '<|tool_calls_section_begin|><|tool_call_begin|>functions.clock:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>',
      '<|tool_calls_section_begin|><|tool_call_begin|>functions.x',
    ],
    ['Granite 3', families.granite3, '<|tool_call|>[{"name": "clock", "arguments": {}}]', '<|tool_call|>[]'],
    [
      'gpt-oss',
      families.gptOss,
      '<|channel|>commentary to=functions.clock <|constrain|>json<|message|>{}',
      '<|channel|>commentary to=functions.x',
    ],
  ]

  it.each(cases)('are held, in the text and alone: %s', async (_, family, call, wrong) => {
    expect(await judge(call, { toolChoice: 'required' }, family)).toBe('whole')
    expect(await judge(wrong, { toolChoice: 'required' }, family)).toBe('no')
    expect(await judge(call, { toolChoice: 'auto' }, family)).toBe('whole')
    expect(await judge(wrong, { toolChoice: 'auto' }, family)).toBe('no')
  })
})

it('a mark that is a control token has its own character in the grammars of a form', async () => {
  const code = '\u{e000}'
  const encode = (text: string) => text.replaceAll('<|"|>', code)
  const grammar = describeAnswer(
    { tools, toolChoice: { name: 'weather' } },
    { family: families.gemma4, isInThought: false, canThink: false },
    encode,
  )!
  const accepts = async (text: string) => {
    const matcher = await (await engine.compile(grammar.form, 'tools')).createMatcher()
    const isWhole = matcher.acceptText(text) && matcher.accept(endId)
    matcher.release()
    return isWhole
  }
  expect(await accepts(`<|tool_call>call:weather{city:${code}a<|"|>b${code}}<tool_call|>`)).toBe(true)
  expect(await accepts('<|tool_call>call:weather{city:<|"|>x<|"|>}<tool_call|>')).toBe(false)
})

describe('arguments that a family without quotes cannot write', () => {
  const describeTool = (parameters: RequestTool['parameters']) =>
    describeAnswer(
      { tools: [{ name: 'f', parameters }] },
      { family: families.qwenCoder, isInThought: false, canThink: false },
    )

  it('are refused by name', () => {
    expect(() =>
      describeTool({
        anyOf: [
          { type: 'object', properties: { a: {} } },
          { type: 'object', required: ['b'] },
        ],
      }),
    ).toThrow(/alternatives/)
    expect(() =>
      describeTool({ type: 'object', properties: { a: { anyOf: [{ type: 'integer' }, { enum: ['x'] }] } } }),
    ).toThrow(/another type at #\/properties\/a/)
  })
})
