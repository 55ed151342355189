import type { RequestOptions, RequestTool } from '../../lib/contract/request.js'
import type { OptionName } from '../../lib/contract/option-table.js'
import { harmony, listMarks, type AnswerFamily, type CallMarks } from './channels/answer-family.js'
import { describeArguments } from './channels/describe-arguments.js'
import { describeFormat } from './grammar/describe-format.js'
import type { TagFormat, TaggedFormat } from './grammar/tag-format.js'

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
 */
export function describeAnswer(options: AnswerOptions, place: AnswerPlace): AnswerGrammar | undefined {
  const { tools = [], toolChoice = 'auto', responseFormat } = options
  const { family } = place
  const format = responseFormat && describeFormat(responseFormat)
  const usable = toolChoice === 'none' ? [] : chooseTools(tools, toolChoice)
  const calls = usable.length === 0 ? undefined : describeCalls(family, usable, options)
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
  choice: Exclude<AnswerOptions['toolChoice'], undefined>,
): readonly RequestTool[] {
  return typeof choice === 'object' ? tools.filter(({ name }) => name === choice.name) : tools
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

function describeCalls(
  family: AnswerFamily,
  tools: readonly RequestTool[],
  { toolChoice, parallelToolCalls = true }: AnswerOptions,
): CallForms | undefined {
  const isSingle = !parallelToolCalls || typeof toolChoice === 'object'
  if (family.kind === 'harmony') return describeHarmonyCalls(tools)
  if (!family.calls) return undefined
  return isListed(family.calls)
    ? describeCallList(family.calls, tools, isSingle)
    : describeCallTags(family.calls, tools, isSingle)
}

/** True if one pair of marks encloses all calls. */
function isListed({ syntax, section }: CallMarks): boolean {
  return syntax.kind === 'json-list' || (syntax.kind === 'python' && syntax.isList) || section !== undefined
}

function describeCallTags(marks: CallMarks, tools: readonly RequestTool[], isSingle: boolean): CallForms {
  const { open, padding, close, syntax } = marks
  const tags = tools.map((tool): TaggedFormat => {
    const { begin, content, end } = describeCall(marks, tool)
    return { type: 'tag', begin: open + padding + begin, content, end: end + padding + close }
  })
  // A call without a mark starts with its name.
  const bare = syntax.kind === 'json' ? `{"${syntax.nameKey}": "` : ''
  return {
    alone: joinTags(tags, open === '' ? '; ' : padding, isSingle),
    inText: {
      type: 'triggered_tags',
      triggers: [open === '' ? bare : open],
      tags,
      at_least_one: false,
      stop_after_first: isSingle,
    },
  }
}

function describeCallList(marks: CallMarks, tools: readonly RequestTool[], isSingle: boolean): CallForms {
  const { open, close, padding, syntax, section } = marks
  const tags = tools.map((tool): TaggedFormat => {
    const { begin, content, end } = describeCall(marks, tool)
    return section
      ? { type: 'tag', begin: open + padding + begin, content, end: end + padding + close }
      : { type: 'tag', begin, content, end }
  })
  const list = joinTags(tags, section ? padding : ', ', isSingle)
  const isBracketed = syntax.kind === 'json-list' || syntax.kind === 'python'
  const begin = section?.open ?? `${open}${padding}${isBracketed ? '[' : ''}`
  const end = section?.close ?? `${isBracketed ? ']' : ''}${close}`
  const enclosed: TaggedFormat = { type: 'tag', begin, content: list, end }
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

/** One or more calls. Without a separator of the family's, calls stand on lines of their own: the engine needs one. */
function joinTags(tags: readonly TaggedFormat[], separator: string, isSingle: boolean): TagFormat {
  return isSingle
    ? { type: 'or', elements: tags }
    : {
        type: 'tags_with_separator',
        tags,
        separator: separator || '\n',
        at_least_one: true,
        stop_after_first: false,
      }
}

interface CallForm {
  readonly begin: string
  readonly content: TagFormat
  readonly end: string
}

/** Describes a call between its marks. */
function describeCall({ syntax }: CallMarks, { name, parameters }: RequestTool): CallForm {
  const content = describeArguments(syntax, parameters)
  switch (syntax.kind) {
    case 'json':
    case 'json-list':
      return {
        begin: `{"${syntax.nameKey}": ${JSON.stringify(name)}, "${syntax.argumentsKey}": `,
        content,
        end: '}',
      }
    case 'named':
      return { begin: syntax.before + name + syntax.after, content, end: syntax.end }
    case 'elements': {
      const line = syntax.nameEnd === '\n' ? '' : '\n'
      return { begin: syntax.open + name + syntax.nameEnd + line, content, end: syntax.end }
    }
    case 'python':
      return { begin: `${name}(`, content, end: ')' }
    case 'quoted':
      return { begin: `call:${name}{`, content, end: '}' }
  }
}

const harmonySyntax = { kind: 'json', nameKey: 'name', argumentsKey: 'arguments' } as const

/** gpt-oss ends its turn after a call, so an answer has one. */
function describeHarmonyCalls(tools: readonly RequestTool[]): CallForms {
  const tags = tools.map((tool): TaggedFormat => ({
    type: 'tag',
    begin: `${harmony.channel}commentary to=functions.${tool.name} ${harmony.constrain}json${harmony.message}`,
    content: describeArguments(harmonySyntax, tool.parameters),
    // The token that ends the message also ends the answer.
    end: '',
  }))
  return {
    alone: { type: 'or', elements: tags },
    inText: {
      type: 'triggered_tags',
      triggers: [`${harmony.channel}commentary to=`],
      tags,
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
    if (!isStrict) return rest
    const end = `${harmony.end}${harmony.start}assistant`
    const begin = isInThought ? '' : `${harmony.channel}analysis${harmony.message}`
    const thought: TaggedFormat = { type: 'tag', begin, content: { type: 'any_text' }, end }
    const thinking: TagFormat = { type: 'sequence', elements: [thought, rest] }
    return isInThought || !canThink ? thinking : { type: 'or', elements: [thinking, rest] }
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
