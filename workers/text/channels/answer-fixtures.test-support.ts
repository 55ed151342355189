// Answers in the formats of model families, as their documentation and their chat templates write them. Control tokens are
// objects; other pieces are text.
import { findFamily } from './find-family.js'
import type { AnswerFamily } from './answer-family.js'

export type Piece = string | { readonly control: string }

export interface AnswerFixture {
  readonly name: string
  readonly family: AnswerFamily
  readonly answer: readonly Piece[]
  readonly startsInThought?: boolean
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly { readonly name: string; readonly arguments: string }[]
}

/** The family of a model with tools whose template writes these texts. */
export const familyOf = (template: string, ...tokens: readonly string[]) =>
  findFamily({ template, hasToken: (token) => tokens.includes(token), hasTools: true })

const control = (text: string): Piece => ({ control: text })

export const hermes = familyOf('<think></think><tool_call>{"name": , "arguments": }</tool_call>')
export const llama = familyOf('{"name": "", "parameters": }', '<|python_tag|>')
export const mistralList = familyOf('[TOOL_CALLS] [', '[THINK]', '[/THINK]')
export const mistralNamed = familyOf('[TOOL_CALLS]f[ARGS]{}[THINK][/THINK]')
export const qwenCoder = familyOf('<think></think><tool_call><function=f><parameter=a>')
export const seed = familyOf('<seed:think></seed:think><seed:tool_call><function=')
export const glm = familyOf('<think></think><tool_call><arg_key>')
export const miniMax = familyOf('<think></think><minimax:tool_call><invoke name="')
export const lfm2 = familyOf('', '<|tool_call_start|>', '<|tool_call_end|>', '<think>', '</think>')
export const gemma3 = familyOf('```tool_code')
export const gemma4 = familyOf('<|tool_call>call:<tool_call|><|channel><channel|>')
export const functionGemma = familyOf('<start_function_call>call:')
export const deepSeek = familyOf('<think></think><｜tool▁call▁begin｜>```json')
export const deepSeek31 = familyOf('<think></think><｜tool▁call▁begin｜>')
export const kimi = familyOf('<think></think><|tool_call_argument_begin|>')
export const granite3 = familyOf('<think></think><response></response><|tool_call|>')
export const hunyuan = familyOf('<think></think><answer></answer><tool_calls>')
export const phi4 = familyOf('<|tool_call|><|/tool_call|>')
export const nemotron = familyOf('<think></think><TOOLCALL>')
export const cohere = familyOf('<|START_THINKING|><|END_THINKING|><|START_ACTION|>')
export const gptOss = familyOf('<|channel|><|message|>')

const weather = { name: 'weather', arguments: '{"city": "Köln", "days": 2}' }
const clock = { name: 'clock', arguments: '{}' }

export const answerFixtures: readonly AnswerFixture[] = [
  {
    name: 'plain text',
    family: hermes,
    answer: [' Hi,\n\nyou. \n'],
    text: ' Hi,\n\nyou. \n',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Qwen3: a thought',
    family: hermes,
    answer: ['<think>\nHm, 2 < 3.\n\nSo?\n</think>\n\nYes. </think> is a mark.\n'],
    text: 'Yes. </think> is a mark.\n',
    reasoning: 'Hm, 2 < 3.\n\nSo?',
    calls: [],
  },
  {
    name: 'Qwen3: an empty thought',
    family: hermes,
    answer: ['<think>\n\n</think>\n\nYes'],
    text: 'Yes',
    reasoning: '',
    calls: [],
  },
  {
    name: 'QwQ and R1: the template opens the thought',
    family: hermes,
    startsInThought: true,
    answer: ['Okay\n</think>\n\nYes'],
    text: 'Yes',
    reasoning: 'Okay',
    calls: [],
  },
  {
    name: 'a thought that does not end',
    family: hermes,
    answer: ['<think>\nOkay, </thin\n'],
    text: '',
    reasoning: 'Okay, </thin\n',
    calls: [],
  },
  {
    name: 'a mark that the text quotes',
    family: hermes,
    answer: ['Models write <think> first.'],
    text: 'Models write <think> first.',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Hermes: text and two calls',
    family: hermes,
    answer: [
      'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Köln", "days": 2}}\n</tool_call>\n<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>\n',
    ],
    text: 'Let me see.',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'Hermes: marks, braces and escapes inside arguments',
    family: hermes,
    answer: [
      '<think>\nx\n</think>\n\n<tool_call>\n{"name":"echo","arguments":{"text":"</tool_call> \\"}{\\\\ <think>","list":[{"a":1},[2]]}}</tool_call>',
    ],
    text: '',
    reasoning: 'x',
    calls: [
      {
        name: 'echo',
        arguments: '{"text":"</tool_call> \\"}{\\\\ <think>","list":[{"a":1},[2]]}',
      },
    ],
  },
  {
    name: 'Hermes: arguments before the name, arguments as a text, and no arguments',
    family: hermes,
    answer: [
      '<tool_call>{"arguments": {"a": 1}, "name": "echo"}</tool_call><tool_call>{"name": "echo", "arguments": "{\\"a\\": 1}"}</tool_call><tool_call>{"name": "clock"}</tool_call>',
    ],
    text: '',
    reasoning: '',
    calls: [{ name: 'echo', arguments: '{"a": 1}' }, { name: 'echo', arguments: '{"a": 1}' }, clock],
  },
  {
    name: 'Hermes: not a call',
    family: hermes,
    answer: ['See <tool_call>\nnothing</tool_call> and <tool_call>{"city": 1}</tool_call>.'],
    text: 'See <tool_call>\nnothing</tool_call> and <tool_call>{"city": 1}</tool_call>.',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Hermes: an incomplete call',
    family: hermes,
    answer: ['<tool_call>\n{"name": "weather", "arguments": {"city": "Kö'],
    text: '',
    reasoning: '',
    calls: [{ name: 'weather', arguments: '{"city": "Kö' }],
  },
  {
    name: 'Hermes: a call without a name yet',
    family: hermes,
    answer: ['Hm <tool_call>\n{"na'],
    text: 'Hm <tool_call>\n{"na',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Llama 3: a call, and a second one',
    family: llama,
    answer: [
      control('<|python_tag|>'),
      '{"name": "weather", "parameters": {"city": "Köln", "days": 2}}; {"name": "clock", "parameters": {}}',
    ],
    text: '',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'Llama 3: a call with a type',
    family: llama,
    answer: ['{"type": "function", "function": {"name": "clock", "parameters": {}}}'],
    text: '',
    reasoning: '',
    calls: [clock],
  },
  {
    name: 'Llama 3: an answer in JSON is not a call',
    family: llama,
    answer: ['{"name": "Anna", "parameters": {"a": 1}}'],
    text: '{"name": "Anna", "parameters": {"a": 1}}',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Llama 3: JSON inside the text is not a call',
    family: llama,
    answer: ['Like {"name": "clock", "parameters": {}}'],
    text: 'Like {"name": "clock", "parameters": {}}',
    reasoning: '',
    calls: [],
  },
  {
    name: 'Mistral: a list of calls, with ids',
    family: mistralList,
    answer: [
      control('[TOOL_CALLS]'),
      ' [{"name": "weather", "arguments": {"city": "Köln", "days": 2}, "id": "abcdef123"}, {"name": "clock", "arguments": {}}]',
    ],
    text: '',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'Mistral: a thought and calls with names before the arguments',
    family: mistralNamed,
    answer: [
      control('[THINK]'),
      'Hm [/THINK]',
      control('[/THINK]'),
      'See:',
      control('[TOOL_CALLS]'),
      'weather',
      control('[ARGS]'),
      '{"city": "Köln", "days": 2}',
      control('[TOOL_CALLS]'),
      'clock',
      control('[CALL_ID]'),
      '123456789',
      control('[ARGS]'),
      '{}',
    ],
    text: 'See:',
    reasoning: 'Hm [/THINK]',
    calls: [weather, clock],
  },
  {
    name: 'Qwen3-Coder: elements for parameters',
    family: qwenCoder,
    answer: [
      'Yes.\n\n<tool_call>\n<function=weather>\n<parameter=city>\nKöln\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=clock>\n</function>\n</tool_call>',
    ],
    text: 'Yes.',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'Qwen3-Coder: texts of several lines, with quotes and marks, and objects',
    family: qwenCoder,
    answer: [
      '<tool_call>\n<function=echo>\n<parameter=text>\n\n"a"\n<b>\t</parameter\n\n</parameter>\n<parameter=list>\n[{"a": 1}]\n</parameter>\n<parameter=any>\nTrue\n</parameter>\n</function>\n</tool_call>',
    ],
    text: '',
    reasoning: '',
    calls: [
      {
        name: 'echo',
        arguments: '{"text": "\\n\\"a\\"\\n<b>\\t</parameter\\n", "list": [{"a": 1}], "any": true}',
      },
    ],
  },
  {
    name: 'Seed-OSS',
    family: seed,
    answer: [
      '<seed:think>Hm</seed:think><seed:tool_call>\n<function=weather>\n<parameter=city>Köln</parameter>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call>',
    ],
    text: '',
    reasoning: 'Hm',
    calls: [weather],
  },
  {
    name: 'GLM-4.5',
    family: glm,
    answer: [
      '\n<think>Hm</think>\nYes\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n<tool_call>clock\n</tool_call>',
    ],
    text: 'Yes',
    reasoning: 'Hm',
    calls: [weather, clock],
  },
  {
    name: 'MiniMax-M2',
    family: miniMax,
    answer: [
      '<think>\nHm\n</think>\n\n<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Köln</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n</minimax:tool_call>',
    ],
    text: '',
    reasoning: 'Hm',
    calls: [weather],
  },
  {
    name: 'LFM2: Python calls',
    family: lfm2,
    answer: [
      control('<|tool_call_start|>'),
      '[weather(city="Köln", days=2), clock()]',
      control('<|tool_call_end|>'),
      'I look it up.',
    ],
    text: 'I look it up.',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'LFM2: every Python literal',
    family: lfm2,
    answer: [
      'Hm',
      control('<|tool_call_start|>'),
      "[echo('a\\'b\\n\\x41\\u00e9', list=[1, -2.5, .5, True, (None,), {'k': {\"x\": 'y'}, 'e': {}}], any=\"[)]}\")]",
      control('<|tool_call_end|>'),
    ],
    text: 'Hm',
    reasoning: '',
    calls: [
      {
        name: 'echo',
        arguments:
          '{"text": "a\'b\\nAé", "list": [1, -2.5, 0.5, true, [null], {"k": {"x": "y"}, "e": {}}], "any": "[)]}"}',
      },
    ],
  },
  {
    name: 'Gemma 3: tool_code',
    family: gemma3,
    answer: ['Sure.\n```tool_code\nweather(city="Köln", days=2)\n```\n'],
    text: 'Sure.',
    reasoning: '',
    calls: [weather],
  },
  {
    name: 'Gemma 4: a thought and calls',
    family: gemma4,
    answer: [
      control('<|channel>'),
      'thought\nHm, thought.\n',
      control('<channel|>'),
      control('<|tool_call>'),
      'call:weather{city:',
      control('<|"|>'),
      'Köln',
      control('<|"|>'),
      ',days:2}',
      control('<tool_call|>'),
      control('<|tool_call>'),
      'call:clock{}',
      control('<tool_call|>'),
    ],
    text: '',
    reasoning: 'Hm, thought.',
    calls: [weather, clock],
  },
  {
    name: 'Gemma 4: nested arguments and an empty thought',
    family: gemma4,
    answer: [
      control('<|channel>'),
      'thought\n',
      control('<channel|>'),
      'Yes',
      control('<|tool_call>'),
      'call:echo{list:[1,',
      control('<|"|>'),
      'a}"',
      control('<|"|>'),
      ',{k:true,o:{}}],any:null}',
      control('<tool_call|>'),
    ],
    text: 'Yes',
    reasoning: '',
    calls: [{ name: 'echo', arguments: '{"list": [1, "a}\\"", {"k": true, "o": {}}], "any": null}' }],
  },
  {
    name: 'FunctionGemma',
    family: functionGemma,
    answer: [
      control('<start_function_call>'),
      'call:weather{city:',
      control('<escape>'),
      'Köln',
      control('<escape>'),
      ',days:2}',
      control('<end_function_call>'),
    ],
    text: '',
    reasoning: '',
    calls: [weather],
  },
  {
    name: 'DeepSeek R1',
    family: deepSeek,
    answer: [
      '<think>\nHm\n</think>\n\nOk',
      control('<｜tool▁calls▁begin｜>'),
      control('<｜tool▁call▁begin｜>'),
      'function',
      control('<｜tool▁sep｜>'),
      'weather\n```json\n{"city": "Köln", "days": 2}\n```',
      control('<｜tool▁call▁end｜>'),
      '\n',
      control('<｜tool▁call▁begin｜>'),
      'function',
      control('<｜tool▁sep｜>'),
      'clock\n```json\n{}\n```',
      control('<｜tool▁call▁end｜>'),
      control('<｜tool▁calls▁end｜>'),
    ],
    text: 'Ok',
    reasoning: 'Hm',
    calls: [weather, clock],
  },
  {
    name: 'DeepSeek V3.1',
    family: deepSeek31,
    startsInThought: true,
    answer: [
      'Hm</think>',
      control('<｜tool▁calls▁begin｜>'),
      control('<｜tool▁call▁begin｜>'),
      'weather',
      control('<｜tool▁sep｜>'),
      '{"city": "Köln", "days": 2}',
      control('<｜tool▁call▁end｜>'),
      control('<｜tool▁calls▁end｜>'),
    ],
    text: '',
    reasoning: 'Hm',
    calls: [weather],
  },
  {
    name: 'Kimi K2: a call ends the thought',
    family: kimi,
    startsInThought: true,
    answer: [
      'Hm ',
      control('<|tool_calls_section_begin|>'),
      control('<|tool_call_begin|>'),
      'functions.weather:0',
      control('<|tool_call_argument_begin|>'),
      '{"city": "Köln", "days": 2}',
      control('<|tool_call_end|>'),
      control('<|tool_calls_section_end|>'),
    ],
    text: '',
    reasoning: 'Hm',
    calls: [weather],
  },
  {
    name: 'Granite 3.3: a thought and an answer, each in marks',
    family: granite3,
    answer: ['<think>Hm</think><response>Yes.</response>'],
    text: 'Yes.',
    reasoning: 'Hm',
    calls: [],
  },
  {
    name: 'Granite 3: a list of calls',
    family: granite3,
    answer: [
      control('<|tool_call|>'),
      '[{"name": "weather", "arguments": {"city": "Köln", "days": 2}}, {"name": "clock", "arguments": {}}]',
    ],
    text: '',
    reasoning: '',
    calls: [weather, clock],
  },
  {
    name: 'Hunyuan',
    family: hunyuan,
    answer: [
      '<think>\nHm\n</think>\n<answer>\nYes <answer>.\n</answer>\n<tool_calls>[{"name": "clock", "arguments": {}}]</tool_calls>',
    ],
    text: 'Yes <answer>.',
    reasoning: 'Hm',
    calls: [clock],
  },
  {
    name: 'Phi-4 mini',
    family: phi4,
    answer: [control('<|tool_call|>'), '[{"name": "clock", "arguments": {}}]', control('<|/tool_call|>')],
    text: '',
    reasoning: '',
    calls: [clock],
  },
  {
    name: 'Nemotron Nano 2',
    family: nemotron,
    answer: ['<think>\nHm\n</think>\n<TOOLCALL>[{"name": "clock", "arguments": {}}]</TOOLCALL>\n'],
    text: '',
    reasoning: 'Hm',
    calls: [clock],
  },
  {
    name: 'Command R7B',
    family: cohere,
    answer: [
      control('<|START_THINKING|>'),
      'Hm',
      control('<|END_THINKING|>'),
      control('<|START_ACTION|>'),
      '[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": {"city": "Köln", "days": 2}}\n]',
      control('<|END_ACTION|>'),
    ],
    text: '',
    reasoning: 'Hm',
    calls: [weather],
  },
  {
    name: 'gpt-oss: a thought, a preamble and a call',
    family: gptOss,
    answer: [
      control('<|channel|>'),
      'analysis',
      control('<|message|>'),
      'Hm.',
      control('<|end|>'),
      control('<|start|>'),
      'assistant',
      control('<|channel|>'),
      'commentary',
      control('<|message|>'),
      'I look.',
      control('<|end|>'),
      control('<|start|>'),
      'assistant',
      control('<|channel|>'),
      'commentary to=functions.weather ',
      control('<|constrain|>'),
      'json',
      control('<|message|>'),
      '{"city": "Köln", "days": 2}',
      control('<|call|>'),
    ],
    text: 'I look.',
    reasoning: 'Hm.',
    calls: [weather],
  },
  {
    name: 'gpt-oss: the recipient before the channel, and a final answer',
    family: gptOss,
    answer: [
      ' to=functions.clock',
      control('<|channel|>'),
      'commentary json',
      control('<|message|>'),
      '{}',
      control('<|call|>'),
      control('<|start|>'),
      'assistant',
      control('<|channel|>'),
      'final',
      control('<|message|>'),
      'It is <|call|> late.',
      control('<|return|>'),
    ],
    text: 'It is <|call|> late.',
    reasoning: '',
    calls: [clock],
  },
]
