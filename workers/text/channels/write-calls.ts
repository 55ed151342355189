import type { PromptPart } from '../chat-template.js'
import { harmony, listMarks, type AnswerFamily, type CallMarks, type ElementMarks } from './answer-family.js'
import { parseJson } from './json-value.js'

/** A call whose arguments are a JSON text. */
export interface WrittenCall {
  readonly name: string
  readonly arguments: string
}

type Values = Readonly<Record<string, unknown>>

const mark = (text: string): PromptPart => ({ text, isContent: false })
const content = (text: string): PromptPart => ({ text, isContent: true })

/** Writes the calls of an answer as the family does. The names and arguments are content: they never become control tokens. */
export function writeCalls(family: AnswerFamily, calls: readonly WrittenCall[]): readonly PromptPart[] {
  if (calls.length === 0) return []
  if (family.kind === 'harmony') {
    const written = calls.map((call) => [
      ...startHarmonyCall(call.name),
      content(call.arguments),
      mark(harmony.call),
    ])
    return joinParts(written, mark(`${harmony.start}assistant`))
  }
  const marks = family.calls
  if (!marks) return []
  const { section } = marks
  const written = joinCalls(marks, calls)
  return section ? [mark(section.open), ...written, mark(section.close)] : written
}

/**
 * Writes a call that is not complete, up to the end of its arguments so far.
 * @returns undefined if the family's syntax does not contain the arguments as JSON
 */
export function writeOpenCall(family: AnswerFamily, call: WrittenCall): readonly PromptPart[] | undefined {
  if (family.kind === 'harmony') return [...startHarmonyCall(call.name), content(call.arguments)]
  const marks = family.calls
  if (!marks) return undefined
  const { syntax } = marks
  const section = marks.section ? [mark(marks.section.open)] : []
  if (syntax.kind === 'json' || syntax.kind === 'json-list') {
    const list = syntax.kind === 'json-list' ? '[' : ''
    return [
      ...section,
      mark(marks.open + marks.padding + list),
      ...startJson(marks, call.name),
      content(call.arguments),
    ]
  }
  if (syntax.kind !== 'named') return undefined
  return [
    ...section,
    mark(marks.open + syntax.before),
    content(call.name),
    mark(syntax.after),
    content(call.arguments),
  ]
}

function startHarmonyCall(name: string): readonly PromptPart[] {
  return [
    mark(`${harmony.channel}commentary to=functions.`),
    content(name),
    mark(` ${harmony.constrain}json${harmony.message}`),
  ]
}

function startJson({ syntax }: CallMarks, name: string): readonly PromptPart[] {
  if (syntax.kind !== 'json' && syntax.kind !== 'json-list') return []
  return [mark(`{"${syntax.nameKey}": `), content(JSON.stringify(name)), mark(`, "${syntax.argumentsKey}": `)]
}

function joinCalls(marks: CallMarks, calls: readonly WrittenCall[]): readonly PromptPart[] {
  const { open, close, padding, syntax } = marks
  const each = calls.map((call) => writeCall(marks, call))
  if (syntax.kind === 'json-list') {
    return [
      mark(`${open}${padding}[`),
      ...joinParts(each, mark(', ')),
      mark(`]${padding === '\n' ? padding : ''}${close}`),
    ]
  }
  if (syntax.kind === 'python' && syntax.isList) {
    return [mark(`${open}[`), ...joinParts(each, mark(', ')), mark(`]${close}`)]
  }
  const enclosed = each.map((parts) => [mark(open + padding)].concat(parts, mark(padding + close)))
  return joinParts(enclosed, mark(open === '' ? '; ' : padding))
}

function joinParts(lists: readonly (readonly PromptPart[])[], separator: PromptPart): readonly PromptPart[] {
  return lists.flatMap((parts, index) => (index === 0 ? parts : [separator, ...parts]))
}

function writeCall(marks: CallMarks, { name, arguments: text }: WrittenCall): readonly PromptPart[] {
  const { syntax } = marks
  const value = parseJson(text)
  const values = typeof value === 'object' && value !== null ? (value as Values) : {}
  switch (syntax.kind) {
    case 'json':
    case 'json-list':
      return [...startJson(marks, name), content(text), mark('}')]
    case 'named':
      return [mark(syntax.before), content(name), mark(syntax.after), content(text), mark(syntax.end)]
    case 'elements':
      return writeElements(syntax, name, values)
    case 'python':
      return [
        content(name),
        mark('('),
        ...joinParts(
          Object.entries(values).map(([key, each]) => [content(`${key}=${toPython(each)}`)]),
          mark(', '),
        ),
        mark(')'),
      ]
    case 'quoted':
      return [mark('call:'), content(name), ...writeQuoted(values, syntax.quote)]
  }
}

function writeElements(marks: ElementMarks, name: string, values: Values): readonly PromptPart[] {
  return [
    mark(marks.open),
    content(name),
    mark(marks.nameEnd === '\n' ? '\n' : `${marks.nameEnd}\n`),
    ...Object.entries(values).flatMap(([key, value]) =>
      writeElement(marks, key, typeof value === 'string' ? value : JSON.stringify(value)),
    ),
    mark(marks.end),
  ]
}

function writeElement(marks: ElementMarks, key: string, value: string): readonly PromptPart[] {
  const line = marks.hasValueLines ? '\n' : ''
  const valueOpen = marks.valueOpen === '' ? '' : `\n${marks.valueOpen}`
  return [
    mark(marks.keyOpen),
    content(key),
    mark(marks.keyEnd + valueOpen + line),
    content(value),
    mark(`${line}${marks.valueEnd}\n`),
  ]
}

/** Writes a value as Python does. JSON's texts are also Python's. */
function toPython(value: unknown): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `[${value.map(toPython).join(', ')}]`
  if (typeof value !== 'object') return JSON.stringify(value)
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${toPython(each)}`)
  return `{${entries.join(', ')}}`
}

/** Writes an object as Gemma does: texts between quote tokens, and keys without quotes. */
function writeQuoted(value: unknown, quote: string): readonly PromptPart[] {
  if (typeof value === 'string') return [mark(quote), content(value), mark(quote)]
  if (typeof value !== 'object' || value === null) return [content(JSON.stringify(value))]
  const entries = Array.isArray(value)
    ? value.map((each: unknown) => writeQuoted(each, quote))
    : Object.entries(value).map(([key, each]) => [content(`${key}:`)].concat(writeQuoted(each, quote)))
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return [mark(open!), ...joinParts(entries, mark(',')), mark(close!)]
}

/** Splits parts at the marks that are control tokens, for a splitter. */
export function* listPieces(
  family: AnswerFamily,
  parts: readonly PromptPart[],
  isControl: (text: string) => boolean,
): Generator<{ readonly text: string; readonly isControl: boolean }> {
  const controls = listMarks(family).filter(isControl)
  for (const { text, isContent } of parts) {
    let rest = text
    while (rest !== '') {
      const starts = isContent ? [] : controls.map((each) => ({ each, start: rest.indexOf(each) }))
      const first = starts.filter(({ start }) => start >= 0).toSorted((a, b) => a.start - b.start)[0]
      if (!first) {
        yield { text: rest, isControl: false }
        break
      }
      if (first.start > 0) yield { text: rest.slice(0, first.start), isControl: false }
      yield { text: first.each, isControl: true }
      rest = rest.slice(first.start + first.each.length)
    }
  }
}
