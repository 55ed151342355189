import {
  plainFamily,
  type AnswerFamily,
  type CallMarks,
  type CallSyntax,
  type ElementMarks,
  type ThoughtMarks,
} from './answer-family.js'

/** What a family is found from. */
export interface FamilySource {
  /** The Jinja source of the chat template. */
  readonly template: string
  /** True if the vocabulary has a token with this text. */
  readonly hasToken: (text: string) => boolean
  /** True if the template writes the variable `tools`. */
  readonly hasTools: boolean
}

/** Finds how a model writes thoughts and tool calls. The names of models do not count: fine-tunes keep the template. */
export function findFamily({ template, hasToken, hasTools }: FamilySource): AnswerFamily {
  const has = (text: string) => template.includes(text) || hasToken(text)
  if (template.includes('<|channel|>') && template.includes('<|message|>')) {
    return { kind: 'harmony', hasTools }
  }
  const thought = knownThoughts.find(({ open, close }) => has(open) && has(close))
  const calls = hasTools ? knownCalls.find(({ isWritten }) => isWritten(has, template)) : undefined
  if (!thought && !calls) return plainFamily
  const marks = calls && { ...calls.marks, close: calls.readClose?.(has) ?? calls.marks.close }
  return { kind: 'marked', thought: thought && withAnswer(thought, template), calls: marks }
}

/** Granite 3.3 and Hunyuan write marks around the answer, too. */
function withAnswer(thought: ThoughtMarks, template: string): ThoughtMarks {
  const name = ['response', 'answer'].find((each) => template.includes(`<${each}>`))
  return name === undefined || thought.answer || thought.open !== '<think>'
    ? thought
    : { ...thought, answer: { open: `<${name}>`, close: `</${name}>` } }
}

/** The most common marks come last: a template can mention them when it reads the history of other models. */
const knownThoughts: readonly ThoughtMarks[] = [
  { open: '[THINK]', close: '[/THINK]' },
  { open: '<seed:think>', close: '</seed:think>' },
  { open: '<|channel>', close: '<channel|>', label: 'thought' },
  {
    open: '<|START_THINKING|>',
    close: '<|END_THINKING|>',
    answer: { open: '<|START_RESPONSE|>', close: '<|END_RESPONSE|>' },
  },
  { open: '◁think▷', close: '◁/think▷' },
  { open: '<thought>', close: '</thought>' },
  { open: '<think>', close: '</think>' },
]

interface KnownCalls {
  readonly isWritten: (has: (text: string) => boolean, template: string) => boolean
  readonly marks: CallMarks
  /** Returns the mark after a call, where models of one style differ. */
  readonly readClose?: (has: (text: string) => boolean) => string
}

const json: CallSyntax = { kind: 'json', nameKey: 'name', argumentsKey: 'arguments' }
const jsonList: CallSyntax = { kind: 'json-list', nameKey: 'name', argumentsKey: 'arguments' }

/** `<function=f><parameter=a>1</parameter></function>`, of Qwen3-Coder, Qwen3.5, Seed-OSS and Nemotron 3. */
const parameterElements: ElementMarks = {
  open: '<function=',
  nameEnd: '>',
  keyOpen: '<parameter=',
  keyEnd: '>',
  valueOpen: '',
  valueEnd: '</parameter>',
  end: '</function>',
  hasValueLines: true,
}

/** `<invoke name="f"><parameter name="a">1</parameter></invoke>`, of MiniMax-M2. */
const invokeElements: ElementMarks = {
  open: '<invoke name="',
  nameEnd: '">',
  keyOpen: '<parameter name="',
  keyEnd: '">',
  valueOpen: '',
  valueEnd: '</parameter>',
  end: '</invoke>',
  hasValueLines: false,
}

/** `f<arg_key>a</arg_key><arg_value>1</arg_value>`, of GLM-4.5. */
const keyElements: ElementMarks = {
  open: '',
  nameEnd: '\n',
  keyOpen: '<arg_key>',
  keyEnd: '</arg_key>',
  valueOpen: '<arg_value>',
  valueEnd: '</arg_value>',
  end: '',
  hasValueLines: false,
}

const inTemplate =
  (...texts: readonly string[]) =>
  (_: (text: string) => boolean, template: string) =>
    texts.every((text) => template.includes(text))

/** The known styles. The first one that the template writes counts, so the most specific marks come first. */
const knownCalls: readonly KnownCalls[] = [
  {
    // FunctionGemma: https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices
    isWritten: inTemplate('<start_function_call>'),
    marks: {
      open: '<start_function_call>',
      close: '<end_function_call>',
      padding: '',
      syntax: { kind: 'quoted', quote: '<escape>' },
    },
  },
  {
    // Gemma 4
    isWritten: inTemplate('<|tool_call>'),
    marks: {
      open: '<|tool_call>',
      close: '<tool_call|>',
      padding: '',
      syntax: { kind: 'quoted', quote: '<|"|>' },
    },
  },
  {
    // Kimi K2
    isWritten: inTemplate('<|tool_call_argument_begin|>'),
    marks: {
      open: '<|tool_call_begin|>',
      close: '<|tool_call_end|>',
      padding: '',
      section: { open: '<|tool_calls_section_begin|>', close: '<|tool_calls_section_end|>' },
      syntax: {
        kind: 'named',
        before: 'functions.',
        after: ':0<|tool_call_argument_begin|>',
        end: '',
        marks: ['<|tool_call_argument_begin|>'],
      },
    },
  },
  {
    // DeepSeek V3 and R1
    isWritten: inTemplate('<｜tool▁call▁begin｜>', '```json'),
    marks: {
      open: '<｜tool▁call▁begin｜>',
      close: '<｜tool▁call▁end｜>',
      padding: '',
      section: { open: '<｜tool▁calls▁begin｜>', close: '<｜tool▁calls▁end｜>' },
      syntax: {
        kind: 'named',
        before: 'function<｜tool▁sep｜>',
        after: '\n```json\n',
        end: '\n```',
        marks: ['<｜tool▁sep｜>'],
      },
    },
  },
  {
    // DeepSeek V3.1
    isWritten: inTemplate('<｜tool▁call▁begin｜>'),
    marks: {
      open: '<｜tool▁call▁begin｜>',
      close: '<｜tool▁call▁end｜>',
      padding: '',
      section: { open: '<｜tool▁calls▁begin｜>', close: '<｜tool▁calls▁end｜>' },
      syntax: { kind: 'named', before: '', after: '<｜tool▁sep｜>', end: '', marks: ['<｜tool▁sep｜>'] },
    },
  },
  {
    // Mistral since Small 3.2: https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-tool_calling
    isWritten: inTemplate('[TOOL_CALLS]', '[ARGS]'),
    marks: {
      open: '[TOOL_CALLS]',
      close: '',
      padding: '',
      syntax: { kind: 'named', before: '', after: '[ARGS]', end: '', marks: ['[ARGS]', '[CALL_ID]'] },
    },
  },
  {
    // Mistral up to Small 3.1
    isWritten: inTemplate('[TOOL_CALLS]'),
    marks: { open: '[TOOL_CALLS]', close: '', padding: ' ', syntax: jsonList },
  },
  {
    // LFM2: the older templates do not write calls. https://docs.liquid.ai/lfm/key-concepts/tool-use
    isWritten: (has) => has('<|tool_call_start|>'),
    marks: {
      open: '<|tool_call_start|>',
      close: '<|tool_call_end|>',
      padding: '',
      syntax: { kind: 'python', isList: true },
    },
  },
  {
    isWritten: inTemplate('<minimax:tool_call>', '<invoke name='),
    marks: {
      open: '<minimax:tool_call>',
      close: '</minimax:tool_call>',
      padding: '\n',
      syntax: { kind: 'elements', ...invokeElements },
    },
  },
  {
    isWritten: inTemplate('<seed:tool_call>', '<function='),
    marks: {
      open: '<seed:tool_call>',
      close: '</seed:tool_call>',
      padding: '\n',
      syntax: { kind: 'elements', ...parameterElements },
    },
  },
  {
    isWritten: inTemplate('<tool_call>', '<function='),
    marks: {
      open: '<tool_call>',
      close: '</tool_call>',
      padding: '\n',
      syntax: { kind: 'elements', ...parameterElements },
    },
  },
  {
    isWritten: inTemplate('<tool_call>', '<arg_key>'),
    marks: {
      open: '<tool_call>',
      close: '</tool_call>',
      padding: '',
      syntax: { kind: 'elements', ...keyElements },
    },
  },
  {
    // Hunyuan, Jamba
    isWritten: inTemplate('<tool_calls>'),
    marks: { open: '<tool_calls>', close: '</tool_calls>', padding: '', syntax: jsonList },
  },
  {
    // Nemotron Nano 2
    isWritten: inTemplate('<TOOLCALL>'),
    marks: { open: '<TOOLCALL>', close: '</TOOLCALL>', padding: '', syntax: jsonList },
  },
  {
    // Granite 3, and Phi-4 mini, which has a mark at the end
    isWritten: (has) => has('<|tool_call|>'),
    marks: { open: '<|tool_call|>', close: '', padding: '', syntax: jsonList },
    readClose: (has) => (has('<|/tool_call|>') ? '<|/tool_call|>' : ''),
  },
  {
    // Command R7B and Command A
    isWritten: inTemplate('<|START_ACTION|>'),
    marks: {
      open: '<|START_ACTION|>',
      close: '<|END_ACTION|>',
      padding: '',
      syntax: { kind: 'json-list', nameKey: 'tool_name', argumentsKey: 'parameters' },
    },
  },
  {
    // Gemma 3: https://ai.google.dev/gemma/docs/capabilities/function-calling
    isWritten: inTemplate('```tool_code'),
    marks: {
      open: '```tool_code',
      close: '```',
      padding: '\n',
      syntax: { kind: 'python', isList: false },
    },
  },
  {
    // Hermes, Qwen 2.5 and 3, SmolLM3, Granite 4
    isWritten: (has) => has('<tool_call>'),
    marks: { open: '<tool_call>', close: '</tool_call>', padding: '\n', syntax: json },
  },
  {
    // Llama 3: https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/
    isWritten: (has, template) => template.includes('"parameters"') || has('<|python_tag|>'),
    marks: {
      open: '',
      close: '',
      padding: '',
      otherOpen: '<|python_tag|>',
      syntax: { kind: 'json', nameKey: 'name', argumentsKey: 'parameters' },
    },
  },
]
