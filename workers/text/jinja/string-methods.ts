import { Bound, requireText } from './arguments.js'
import { pad } from './format.js'
import { TemplateError, type Meter } from './meter.js'
import {
  capitalize,
  findStripped,
  lineBreakPattern,
  stringTests,
  swapCase,
  titleWords,
  toLower,
  toUpper,
  wordPattern,
} from './python-strings.js'
import { Text, escapeMarkup } from './text.js'
import { Callable, List, toArray, typeName, type Value } from './values.js'

type StringMethod = (text: Text, given: Bound, meter: Meter) => Value

interface MethodRow {
  readonly parameters: readonly string[]
  readonly call: StringMethod
}

/** Returns a method of a string; undefined if Python's `str` has no such method, or if it is not supported. */
export function findStringMethod(text: Text, name: string, meter: Meter): Callable | undefined {
  const row = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (!row) return undefined
  return new Callable(name, (given) => {
    meter.scan(text.value.length)
    return row.call(text, new Bound(name, given, row.parameters), meter)
  })
}

const convert = (change: (value: string) => string): MethodRow => ({
  parameters: [],
  call: (text, _, meter) => {
    meter.grow(text.value.length)
    return text.convert(change)
  },
})

const strip = (side: 'both' | 'left' | 'right'): MethodRow => ({
  parameters: ['chars'],
  call: (text, given) => stripText(text, given.text('chars'), side),
})

const justify = (align: '<' | '>' | '^'): MethodRow => ({
  parameters: ['width', 'fillchar'],
  call: (text, given, meter) => {
    const width = given.integer('width') ?? 0
    const fill = given.text('fillchar')?.value ?? ' '
    // Python puts the extra blank of `center` before the text if both the width and the text are odd.
    const isOdd = (width - text.length) % 2 === 1
    const extra = align === '^' && isOdd && width % 2 === 1 && width > text.length
    return pad(extra ? Text.join([Text.ofTemplate(fill), text]) : text, { fill, align, width }, meter)
  },
})

const search = (isLast: boolean, fails: boolean): MethodRow => ({
  parameters: ['sub', 'start', 'end'],
  call: (text, given) => {
    const [from, to] = resolveRange(text, given)
    const { value } = given.requireText('sub')
    const part = text.slice(from, Math.max(from, to)).value
    const found = isLast ? part.lastIndexOf(value) : part.indexOf(value)
    if (found === -1 || from > to) {
      if (fails) throw new TemplateError('substring not found')
      return -1n
    }
    return BigInt(from + Text.ofTemplate(part).countCharacters(found))
  },
})

const checkEnd = (matches: (text: string, end: string) => boolean): MethodRow => ({
  parameters: ['affix', 'start', 'end'],
  call: (text, given) => {
    const [from, to] = resolveRange(text, given)
    const part = text.slice(from, Math.max(from, to)).value
    const affix = given.require('affix')
    if (affix instanceof Text) return matches(part, affix.value)
    if (affix instanceof List && affix.kind === 'tuple') {
      return affix.items.some((item) => matches(part, requireText(item, 'a tuple of affixes').value))
    }
    throw new TemplateError(`first arg must be str or a tuple of str, not ${typeName(affix)}`)
  },
})

const partition = (isLast: boolean): MethodRow => ({
  parameters: ['sep'],
  call: (text, given) => {
    const separator = requireSeparator(given.requireText('sep'))
    const found = isLast ? text.value.lastIndexOf(separator) : text.value.indexOf(separator)
    // Empty markup, if the text is markup.
    const empty = text.cut(0, 0)
    if (found === -1) return new List(isLast ? [empty, empty, text] : [text, empty, empty], 'tuple')
    const end = found + separator.length
    return new List([text.cut(0, found), text.cut(found, end), text.cut(end)], 'tuple')
  },
})

const test = (check: (text: string) => boolean): MethodRow => ({
  parameters: [],
  call: (text) => check(text.value),
})

const methods: Readonly<Record<string, MethodRow>> = {
  upper: convert(toUpper),
  lower: convert(toLower),
  casefold: convert(toLower),
  capitalize: convert(capitalize),
  title: convert(titleWords),
  swapcase: convert(swapCase),
  strip: strip('both'),
  lstrip: strip('left'),
  rstrip: strip('right'),
  ljust: justify('<'),
  rjust: justify('>'),
  center: justify('^'),
  find: search(false, false),
  index: search(false, true),
  rfind: search(true, false),
  rindex: search(true, true),
  startswith: checkEnd((text, end) => text.startsWith(end)),
  endswith: checkEnd((text, end) => text.endsWith(end)),
  partition: partition(false),
  rpartition: partition(true),
  split: {
    parameters: ['sep', 'maxsplit'],
    call: (text, given, meter) =>
      toList(splitText(text, given.text('sep'), given.integer('maxsplit') ?? -1), meter),
  },
  rsplit: {
    parameters: ['sep', 'maxsplit'],
    call: (text, given, meter) =>
      toList(splitFromEnd(text, given.text('sep'), given.integer('maxsplit') ?? -1), meter),
  },
  splitlines: {
    parameters: ['keepends'],
    call: (text, given, meter) => toList(splitLines(text, given.isTrue('keepends')), meter),
  },
  replace: {
    parameters: ['old', 'new', 'count'],
    call: (text, given, meter) =>
      replaceText(
        text,
        likeMarkup(text, given.requireText('old')),
        likeMarkup(text, given.requireText('new')),
        given.integer('count') ?? -1,
        meter,
      ).as(text.isMarkup ? 'markup' : 'plain'),
  },
  join: {
    parameters: ['iterable'],
    call: (text, given, meter) =>
      joinTexts(
        toArray(given.require('iterable'), meter).map((item) =>
          likeMarkup(text, requireText(item, 'join()')),
        ),
        text,
        meter,
      ).as(text.isMarkup ? 'markup' : 'plain'),
  },
  count: {
    parameters: ['sub', 'start', 'end'],
    call: (text, given) => {
      const [from, to] = resolveRange(text, given)
      const part = text.slice(from, Math.max(from, to))
      const { value } = given.requireText('sub')
      return BigInt(value === '' ? part.length + 1 : part.value.split(value).length - 1)
    },
  },
  zfill: {
    parameters: ['width'],
    call: (text, given, meter) => {
      const sign = /^[-+]/.test(text.value) ? 1 : 0
      const digits = { fill: '0', align: '>', width: (given.integer('width') ?? 0) - sign } as const
      return Text.join([text.cut(0, sign), pad(text.cut(sign), digits, meter)])
    },
  },
  removeprefix: {
    parameters: ['prefix'],
    call: (text, given) => {
      const { value } = given.requireText('prefix')
      return text.value.startsWith(value) ? text.cut(value.length) : text
    },
  },
  removesuffix: {
    parameters: ['suffix'],
    call: (text, given) => {
      const { value } = given.requireText('suffix')
      return text.value.endsWith(value) ? text.cut(0, text.value.length - value.length) : text
    },
  },
  expandtabs: {
    parameters: ['tabsize'],
    call: (text, given, meter) => expandTabs(text, given.integer('tabsize') ?? 8, meter),
  },
  ...Object.fromEntries(Object.entries(stringTests).map(([name, check]) => [name, test(check)])),
}

/** The methods of markup escape their arguments. */
function likeMarkup(text: Text, argument: Text): Text {
  return text.isMarkup ? escapeMarkup(argument) : argument
}

function resolveRange(text: Text, given: Bound): readonly [from: number, to: number] {
  const { length } = text
  const resolve = (place: number) => Math.min(length, Math.max(0, place < 0 ? place + length : place))
  const start = given.integer('start') ?? 0
  return [start > length ? length + 1 : resolve(start), resolve(given.integer('end') ?? length)]
}

function toList(parts: readonly Text[], meter: Meter): List {
  meter.growList(parts.length)
  return new List(parts)
}

export function stripText(text: Text, characters: Text | undefined, side: 'both' | 'left' | 'right'): Text {
  return text.cut(...findStripped(text.value, characters?.value, side))
}

function requireSeparator({ value }: Text): string {
  if (value === '') throw new TemplateError('empty separator')
  return value
}

function splitText(text: Text, separator: Text | undefined, limit: number): Text[] {
  const parts: Text[] = []
  const { value } = text
  if (separator === undefined) {
    for (const { 0: word, index } of value.matchAll(wordPattern)) {
      if (limit >= 0 && parts.length >= limit)
        return [...parts, stripText(text.cut(index), undefined, 'left')]
      parts.push(text.cut(index, index + word.length))
    }
    return parts
  }
  const mark = requireSeparator(separator)
  let done = 0
  for (let found = value.indexOf(mark); found !== -1; found = value.indexOf(mark, done)) {
    if (limit >= 0 && parts.length >= limit) break
    parts.push(text.cut(done, found))
    done = found + mark.length
  }
  return [...parts, text.cut(done)]
}

function splitFromEnd(text: Text, separator: Text | undefined, limit: number): Text[] {
  if (limit < 0) return splitText(text, separator, limit)
  const { value } = text
  if (separator === undefined) {
    const words = Array.from(
      value.matchAll(wordPattern),
      ({ 0: word, index }) => [index, index + word.length] as const,
    )
    const count = Math.min(limit, words.length)
    const rest = words.at(-count - 1)
    const last = words.slice(words.length - count).map(([start, end]) => text.cut(start, end))
    return count === words.length || !rest ? last : [text.cut(0, rest[1]), ...last]
  }
  const mark = requireSeparator(separator)
  const parts: Text[] = []
  let end = value.length
  while (parts.length < limit && end >= mark.length) {
    const start = value.lastIndexOf(mark, end - mark.length)
    if (start === -1) break
    parts.push(text.cut(start + mark.length, end))
    end = start
  }
  return [text.cut(0, end), ...parts.toReversed()]
}

export function splitLines(text: Text, keepsEnds: boolean): Text[] {
  const lines: Text[] = []
  let done = 0
  for (const { 0: end, index } of text.value.matchAll(lineBreakPattern)) {
    const next = index + end.length
    lines.push(text.cut(done, keepsEnds ? next : index))
    done = next
  }
  return done < text.value.length ? [...lines, text.cut(done)] : lines
}

export function replaceText(text: Text, old: Text, by: Text, limit: number, meter: Meter): Text {
  const { value } = text
  const parts: Text[] = []
  let done = 0
  let count = 0
  const isLeft = () => limit < 0 || count < limit
  const push = (from: number, to: number, next: number) => {
    meter.step()
    parts.push(text.cut(from, to), by)
    meter.grow(to - from + by.value.length)
    done = next
    count += 1
  }
  if (old.value === '') {
    // Python puts the new text before each character and at the end.
    if (isLeft()) push(0, 0, 0)
    for (const character of value) {
      if (!isLeft() || done >= value.length) break
      push(done, done + character.length, done + character.length)
    }
  } else {
    for (
      let found = value.indexOf(old.value);
      found !== -1 && isLeft();
      found = value.indexOf(old.value, done)
    ) {
      push(done, found, found + old.value.length)
    }
  }
  return count === 0 ? text : Text.join([...parts, text.cut(done)])
}

export function joinTexts(parts: readonly Text[], separator: Text, meter: Meter): Text {
  const length = parts.reduce((sum, { value }) => sum + value.length, 0)
  meter.grow(length + separator.value.length * Math.max(0, parts.length - 1))
  if (separator.value === '') return Text.join(parts)
  return Text.join(parts.flatMap((part, index) => (index === 0 ? [part] : [separator, part])))
}

function expandTabs(text: Text, size: number, meter: Meter): Text {
  const parts: Text[] = []
  let column = 0
  for (const character of text.characters()) {
    if (character.value === '\t') {
      const width = size > 0 ? size - (column % size) : 0
      meter.grow(width)
      parts.push(Text.ofTemplate(' '.repeat(width)))
      column += width
    } else {
      parts.push(character)
      column = /[\n\r]/.test(character.value) ? 0 : column + 1
    }
  }
  return Text.join(parts)
}
