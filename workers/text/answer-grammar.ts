import { RivuletError } from '../../lib/contract/errors.js'
import type { RequestOptions, RequestTool } from '../../lib/contract/request.js'
import type { OptionName } from '../../lib/contract/option-table.js'
import { harmony, listMarks, type AnswerFamily, type CallMarks } from './channels/answer-family.js'
import { addRules, describeArguments, type EncodeMark } from './channels/describe-arguments.js'
import { describeFormat } from './grammar/describe-format.js'
import {
  choice,
  literal,
  repeat,
  rule,
  sequence,
  writeGrammar,
  type GrammarNode,
  type GrammarRules,
} from './grammar/grammar-node.js'
import type { TagFormat, TaggedFormat } from './grammar/tag-format.js'
import { UnsupportedForm } from './grammar/unsupported-form.js'

/** What an answer may consist of. */
export interface AnswerGrammar {
  readonly form: TagFormat
  /** The option that demands the form, for errors. */
  readonly option: OptionName
  /** The marks in the form. Those that are control tokens of the model must be possible in it. */
  readonly marks: readonly string[]
}

export interface AnswerPlace {
  readonly family: AnswerFamily
  /** True if the prompt ends inside a thought. */
  readonly isInThought: boolean
  /** True if the model can start a thought itself. */
  readonly canThink: boolean
}

type AnswerOptions = Pick<
  RequestOptions,
  'tools' | 'toolChoice' | 'parallelToolCalls' | 'reasoning' | 'responseFormat'
>

/**
 * Returns the form of an answer from its first token, with its thought and its tool calls; undefined if it can be any text.
 * With the choice `auto`, the model writes free text, or the demanded form, or calls. The arguments of calls are always
 * valid. The thought before them is free.
 * @param encode for the marks in the grammars of the form. Those outside are in their own text
 * @throws RivuletError `invalid-option` if the arguments of a tool cannot be held
 */
export function describeAnswer(
  options: AnswerOptions,
  place: AnswerPlace,
  encode: EncodeMark = (text) => text,
): AnswerGrammar | undefined {
  const { tools = [], toolChoice = 'auto', responseFormat } = options
  const { family } = place
  const format = responseFormat && describeFormat(responseFormat)
  const usable = toolChoice === 'none' ? [] : chooseTools(tools, toolChoice)
  const calls = usable.length === 0 ? undefined : holdCalls(family, usable, options, encode)
  const rest = toolChoice === 'auto' || !calls ? joinFree(format, calls) : calls.alone
  if (!rest) return undefined
  return {
    form: addThought(rest, place, format !== undefined || toolChoice !== 'auto'),
    option: format ? 'responseFormat' : 'tools',
    marks: listMarks(family),
  }
}

function chooseTools(
  tools: readonly RequestTool[],
  demanded: Exclude<AnswerOptions['toolChoice'], undefined>,
): readonly RequestTool[] {
  return typeof demanded === 'object' ? tools.filter(({ name }) => name === demanded.name) : tools
}

/** The calls of an answer: without text around them, and inside free text. */
interface CallForms {
  readonly alone: TagFormat
  readonly inText: TagFormat
}

function joinFree(format: TagFormat | undefined, calls: CallForms | undefined): TagFormat | undefined {
  if (!calls) return format
  return format ? { type: 'or', elements: [format, calls.alone] } : calls.inText
}

function holdCalls(...call: Parameters<typeof describeCalls>): CallForms | undefined {
  try {
    return describeCalls(...call)
  } catch (error) {
    if (!(error instanceof UnsupportedForm)) throw error
    throw new RivuletError('invalid-option', `"tools" cannot be held. ${error.message}`, {
      cause: error,
      details: { option: 'tools' },
    })
  }
}

function describeCalls(
  family: AnswerFamily,
  tools: readonly RequestTool[],
  { toolChoice, parallelToolCalls = true }: AnswerOptions,
  encode: EncodeMark,
): CallForms | undefined {
  const isSingle = !parallelToolCalls || typeof toolChoice === 'object'
  if (family.kind === 'harmony') return describeHarmonyCalls(tools, encode)
  if (!family.calls) return undefined
  return isListed(family.calls)
    ? describeCallList(family.calls, tools, isSingle, encode)
    : describeCallTags(family.calls, tools, isSingle, encode)
}

/** True if one pair of marks encloses all calls. */
function isListed({ syntax, section }: CallMarks): boolean {
  return syntax.kind === 'json-list' || (syntax.kind === 'python' && syntax.isList) || section !== undefined
}

function describeCallTags(
  marks: CallMarks,
  tools: readonly RequestTool[],
  isSingle: boolean,
  encode: EncodeMark,
): CallForms {
  const { open, padding, close, syntax } = marks
  const calls = tools.map((tool) =>
    encloseCall(open + padding, describeCall(marks, tool, encode), padding + close),
  )
  // A call without a mark starts with its name.
  const bare = syntax.kind === 'json' ? `{"${syntax.nameKey}": "` : ''
  return {
    alone: writeForm(joinCalls(calls, open === '' ? '; ' : padding, isSingle, encode)),
    inText: {
      type: 'triggered_tags',
      triggers: [open === '' ? bare : open],
      tags: calls.map(({ begin, rules, end }): TaggedFormat => ({
        type: 'tag',
        begin,
        content: writeForm(rules),
        end,
      })),
      at_least_one: false,
      stop_after_first: isSingle,
    },
  }
}

function describeCallList(
  marks: CallMarks,
  tools: readonly RequestTool[],
  isSingle: boolean,
  encode: EncodeMark,
): CallForms {
  const { open, close, padding, section } = marks
  const calls = tools.map((tool) => {
    const call = describeCall(marks, tool, encode)
    return section ? encloseCall(open + padding, call, padding + close) : call
  })
  const enclosed: TaggedFormat = {
    type: 'tag',
    begin: section?.open ?? `${open}${padding}[`,
    content: writeForm(joinCalls(calls, section ? padding : ', ', isSingle, encode)),
    end: section?.close ?? `]${close}`,
  }
  return {
    alone: enclosed,
    inText: {
      type: 'triggered_tags',
      triggers: [section?.open ?? open],
      tags: [enclosed],
      at_least_one: false,
      stop_after_first: true,
    },
  }
}

function encloseCall(open: string, { begin, rules, end }: CallForm, close: string): CallForm {
  return { begin: open + begin, rules, end: end + close }
}

/** Joins one or more calls. */
function joinCalls(
  calls: readonly CallForm[],
  separator: string,
  isSingle: boolean,
  encode: EncodeMark,
): GrammarRules {
  const rules = new Map<string, GrammarNode>()
  const parts = calls.map(({ begin, rules: each, end }, index) =>
    sequence(literal(encode(begin)), addRules(rules, each, `c${index}x`), literal(encode(end))),
  )
  rules.set('call', choice(parts))
  const others = repeat(sequence(literal(separator), rule('call')), 0)
  rules.set('root', isSingle ? rule('call') : sequence(rule('call'), others))
  return rules
}

function writeForm(rules: GrammarRules): TagFormat {
  return { type: 'grammar', grammar: writeGrammar(rules) }
}

interface CallForm {
  readonly begin: string
  readonly rules: GrammarRules
  readonly end: string
}

/** Describes a call between its marks. */
function describeCall(
  { syntax }: CallMarks,
  { name, parameters }: RequestTool,
  encode: EncodeMark,
): CallForm {
  const rules = describeArguments(syntax, parameters, encode)
  switch (syntax.kind) {
    case 'json':
    case 'json-list':
      return {
        begin: `{"${syntax.nameKey}": ${JSON.stringify(name)}, "${syntax.argumentsKey}": `,
        rules,
        end: '}',
      }
    case 'named':
      return { begin: syntax.before + name + syntax.after, rules, end: syntax.end }
    case 'elements': {
      const line = syntax.nameEnd === '\n' ? '' : '\n'
      return { begin: syntax.open + name + syntax.nameEnd + line, rules, end: syntax.end }
    }
    case 'python':
      return { begin: `${name}(`, rules, end: ')' }
    case 'quoted':
      return { begin: `call:${name}{`, rules, end: '}' }
  }
}

const harmonySyntax = { kind: 'json', nameKey: 'name', argumentsKey: 'arguments' } as const

/** gpt-oss ends its turn after a call, so an answer has one. */
function describeHarmonyCalls(tools: readonly RequestTool[], encode: EncodeMark): CallForms {
  const calls = tools.map(({ name, parameters }): CallForm => ({
    begin: `${harmony.channel}commentary to=functions.${name} ${harmony.constrain}json${harmony.message}`,
    rules: describeArguments(harmonySyntax, parameters),
    // The token that ends the message also ends the answer.
    end: '',
  }))
  return {
    alone: writeForm(joinCalls(calls, '', true, encode)),
    inText: {
      type: 'triggered_tags',
      triggers: [`${harmony.channel}commentary to=`],
      tags: calls.map(({ begin, rules, end }): TaggedFormat => ({
        type: 'tag',
        begin,
        content: writeForm(rules),
        end,
      })),
      at_least_one: false,
      stop_after_first: true,
    },
  }
}

/** Puts the thought before the rest of an answer. @param isStrict true if the rest has no free text */
function addThought(
  rest: TagFormat,
  { family, isInThought, canThink }: AnswerPlace,
  isStrict: boolean,
): TagFormat {
  if (family.kind === 'harmony') {
    if (!isStrict || (!isInThought && !canThink)) return rest
    const end = `${harmony.end}${harmony.start}assistant`
    const begin = isInThought ? '' : `${harmony.channel}analysis${harmony.message}`
    const thought: TaggedFormat = { type: 'tag', begin, content: { type: 'any_text' }, end }
    const thinking: TagFormat = { type: 'sequence', elements: [thought, rest] }
    return isInThought ? thinking : { type: 'or', elements: [thinking, rest] }
  }
  const { thought } = family
  if (!thought || (!isInThought && !canThink)) return rest
  const close: TaggedFormat = {
    type: 'tag',
    begin: isInThought ? '' : thought.open,
    content: { type: 'any_text' },
    end: thought.close,
  }
  // After a thought, families write up to two line breaks.
  const space: TagFormat = { type: 'regex', pattern: '\\n{0,2}' }
  const thinking: TagFormat = { type: 'sequence', elements: [close, space, rest] }
  return isInThought ? thinking : { type: 'or', elements: [thinking, rest] }
}
