import { Bound, requireText } from './arguments.js'
import { formatPercent, pad, truncate } from './format.js'
import { viewItems } from './members.js'
import { TemplateError } from './meter.js'
import { repeatText, takeSlice, toIndex } from './operators.js'
import { capitalize, lineBreakPattern, titleFilter, toLower, toUpper } from './python-strings.js'
import { toJson, toText } from './represent.js'
import { listFilters } from './list-filters.js'
import { joinTexts, replaceText, splitLines, stripText } from './string-methods.js'
import { Text, escapeMarkup } from './text.js'
import {
  Dict,
  DictView,
  Iterated,
  List,
  Undefined,
  isTrue,
  iterate,
  measure,
  toArray,
  toNumber,
  typeName,
  type Value,
} from './values.js'
import type { FilterRow, Runtime } from './runtime.js'

/** A filter with fixed parameters, without the filtered value. */
const row = (
  parameters: readonly string[],
  call: (value: Value, given: Bound, runtime: Runtime) => Value,
): FilterRow => ({
  call: (name, value, given, runtime) => call(value, new Bound(name, given, parameters), runtime),
})

const convert = (change: (value: string) => string) =>
  row([], (value, _, { meter }) => {
    const text = toText(value, meter)
    meter.grow(text.value.length)
    return text.convert(change)
  })

const length = row([], (value) => {
  const size = measure(value)
  if (size === undefined) throw new TemplateError(`object of type '${typeName(value)}' has no len()`)
  return BigInt(size)
})

const fallback = row(['default_value', 'boolean'], (value, given) => {
  const isMissing = value instanceof Undefined || (given.isTrue('boolean') && !isTrue(value))
  return isMissing ? given.getOr('default_value', Text.empty) : value
})

const escapeHtml = row([], (value, _, { meter }) => {
  const text = toText(value, meter)
  meter.grow(text.value.length * 5)
  return escapeMarkup(text)
})

const filters: Readonly<Record<string, FilterRow>> = {
  ...listFilters,
  upper: convert(toUpper),
  lower: convert(toLower),
  capitalize: convert(capitalize),
  title: convert(titleFilter),
  length,
  count: length,
  default: fallback,
  d: fallback,
  escape: escapeHtml,
  e: escapeHtml,
  safe: row([], (value, _, { meter }) => toText(value, meter).as('markup')),
  string: row([], (value, _, { meter }) => toText(value, meter)),
  trim: row(['chars'], (value, given, { meter }) =>
    stripText(toText(value, meter), given.text('chars'), 'both'),
  ),
  replace: row(['old', 'new', 'count'], (value, given, { meter }) =>
    replaceText(
      toText(value, meter).as('plain'),
      toText(given.require('old'), meter),
      toText(given.require('new'), meter),
      given.integer('count') ?? -1,
      meter,
    ),
  ),
  center: row(['width'], (value, given, { meter }) => {
    const text = toText(value, meter)
    const width = given.integer('width') ?? 80
    const extra = (width - text.length) % 2 === 1 && width % 2 === 1 && width > text.length
    const centered = extra ? Text.join([Text.ofTemplate(' '), text]) : text
    return pad(centered, { fill: ' ', align: '^', width }, meter)
  }),
  format: {
    call(_, value, { positional, named }, { meter }) {
      if (positional.length > 0 && named.size > 0) {
        throw new TemplateError("can't handle positional and keyword arguments at the same time")
      }
      const values =
        named.size > 0
          ? new Dict(Array.from(named, ([name, item]) => [Text.ofTemplate(name), item] as const))
          : new List(positional, 'tuple')
      return formatPercent(toText(value, meter), values, meter)
    },
  },
  indent: row(['width', 'first', 'blank'], (value, given, runtime) => indent(value, given, runtime)),
  truncate: row(['length', 'killwords', 'end', 'leeway'], (value, given) => {
    const text = requireText(value, 'truncate')
    const end = given.text('end') ?? Text.ofTemplate('...')
    const limit = given.integer('length') ?? 255
    if (limit < end.length) throw new TemplateError(`expected length >= ${end.length}, got ${limit}`)
    if (text.length <= limit + (given.integer('leeway') ?? 5)) return text
    const cut = text.slice(0, limit - end.length)
    const space = given.isTrue('killwords') ? -1 : cut.value.lastIndexOf(' ')
    return Text.join([space === -1 ? cut : cut.cut(0, space), end])
  }),
  wordcount: row([], (value, _, { meter }) => {
    const words = toText(value, meter).value.match(/[\p{L}\p{N}_]+/gu)
    return BigInt(words?.length ?? 0)
  }),
  urlencode: row([], (value, _, { meter }) => urlEncode(value, (item) => toText(item, meter))),
  int: row(['default', 'base'], (value, given) => {
    const number = readInteger(value, given.integer('base') ?? 10)
    return number ?? given.getOr('default', 0n)
  }),
  float: row(['default'], (value, given) => {
    if (value instanceof Undefined) value.fail()
    return readFloat(value) ?? given.getOr('default', 0)
  }),
  abs: row([], (value) => {
    const number = toNumber(value)
    if (number === undefined) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`)
    return number < 0 ? -number : number
  }),
  round: row(['precision', 'method'], (value, given) => round(value, given)),
  tojson: row(['ensure_ascii', 'indent', 'separators', 'sort_keys'], (value, given, { meter }) => {
    const separators = given.get('separators')
    return toJson(
      value,
      {
        isAscii: given.isTrue('ensure_ascii'),
        indent: readIndent(given.get('indent'), given),
        separators: separators === undefined || separators === null ? undefined : readSeparators(separators),
        sortsKeys: given.isTrue('sort_keys'),
      },
      meter,
    )
  }),
  join: row(['d', 'attribute'], (value, given, runtime) => {
    const { meter } = runtime
    const attribute = given.get('attribute')
    const items = toArray(value, meter)
    const shown =
      attribute === undefined || attribute === null ? items : items.map(runtime.createGetter(attribute))
    const separator = given.getOr('d', Text.empty)
    return joinTexts(
      shown.map((item) => toText(item, meter)),
      toText(separator, meter),
      meter,
    )
  }),
  reverse: row([], (value, _, { meter }) => {
    if (value instanceof Text) return value.reversed()
    const items = toArray(value, meter).toReversed()
    return value instanceof Iterated ? new List(items) : new Iterated(items.values(), 'reversed')
  }),
  items: row([], (value) => new Iterated(iterateItems(value))),
  list: row([], (value, _, { meter }) => new List(toArray(value, meter))),
  first: row([], (value) => {
    const { done, value: first } = iterate(value).next()
    return done ? new Undefined('No first item, sequence was empty.') : (first as Value)
  }),
  last: row([], (value, _, { meter }) => {
    if (value instanceof Iterated) throw new TemplateError(`'${value.name}' object is not reversible`)
    if (value instanceof Text) return takeSlice(value, [-1n, null, null], meter)!
    const items = value instanceof DictView ? value.items : toArray(value, meter)
    return items.length > 0 ? items.at(-1)! : new Undefined('No last item, sequence was empty.')
  }),
  attr: row(['name'], (value, given, { findAttribute }) => {
    const name = given.requireText('name').value
    const found = findAttribute(value, name)
    return found === undefined
      ? new Undefined(`'${typeName(value)} object' has no attribute '${name}'`)
      : found
  }),
}

/** Returns a filter by its name. @throws TemplateError if jinja2 has no such filter, or if it is not supported */
export function findFilter(name: string): FilterRow {
  const found = Object.hasOwn(filters, name) ? filters[name] : undefined
  if (found) return found
  throw new TemplateError(`No filter named '${name}'.`)
}

/** As in jinja2, a value without items fails only when it is iterated. */
function* iterateItems(value: Value): Generator<Value, void, undefined> {
  if (value instanceof Undefined) return
  if (!(value instanceof Dict)) throw new TemplateError('Can only get item pairs from a mapping.')
  yield* viewItems(value).items
}

function indent(value: Value, given: Bound, { meter }: Runtime): Text {
  const width = given.get('width') ?? 4n
  const space =
    width instanceof Text ? width : repeatText(Text.ofTemplate(' '), Math.max(0, toIndex(width)), meter)
  const newline = Text.ofTemplate('\n')
  // jinja2 adds a line break, so that the text has at least one line.
  const lines = splitLines(requireText(value, 'indent').concat(newline), false)
  const breaks = requireText(value, 'indent').value.match(lineBreakPattern)?.length ?? 0
  meter.grow(breaks * space.value.length + space.value.length)
  const parts = lines.flatMap((line, index) => {
    if (index === 0) return [line]
    return given.isTrue('blank') || line.value !== '' ? [newline, space, line] : [newline, line]
  })
  const indented = Text.join(given.isTrue('first') ? [space, ...parts] : parts)
  return requireText(value, 'indent').isMarkup ? indented.as('markup') : indented
}

function readIndent(value: Value | undefined, given: Bound): Text | undefined {
  if (value === undefined || value === null) return undefined
  if (value instanceof Text) return value
  const width = given.integer('indent') ?? 0
  if (width > 1000) throw new TemplateError('The indent is too wide.')
  // With 0, Python writes line breaks without indentation.
  return width <= 0 ? lineOnly : Text.ofTemplate(' '.repeat(width))
}

const lineOnly = Text.ofTemplate('')

function readSeparators(value: Value) {
  const [item, key] = value instanceof List ? value.items : []
  if (item instanceof Text && key instanceof Text) return { item, key }
  throw new TemplateError('The separators of tojson must be two strings.')
}

/** Reads an integer as Python's `int()` does, and then as jinja2 does: `42.9` is 42. */
function readInteger(value: Value, base: number): bigint | undefined {
  if (value instanceof Text) {
    const match = /^\s*([-+]?)(0[xX]|0[oO]|0[bB])?([\da-zA-Z]+(?:_[\da-zA-Z]+)*)\s*$/.exec(value.value)
    const digits = match?.[3]?.replaceAll('_', '')
    const prefixed = { '0x': 16, '0o': 8, '0b': 2 }[(match?.[2] ?? '').toLowerCase()]
    if (
      match &&
      digits &&
      digits.length <= 4300 &&
      (prefixed === undefined || prefixed === base || base === 0)
    ) {
      const number = parseDigits(digits, prefixed ?? (base === 0 ? 10 : base))
      if (number !== undefined) return match[1] === '-' ? -number : number
    }
    const float = readFloat(value)
    return float === undefined || !Number.isFinite(float) ? undefined : truncate(float)
  }
  const number = toNumber(value)
  if (value instanceof Undefined) value.fail()
  if (number === undefined) return undefined
  if (typeof number === 'bigint') return number
  return Number.isFinite(number) ? truncate(number) : undefined
}

function parseDigits(digits: string, base: number): bigint | undefined {
  if (base === 10) return /^\d+$/.test(digits) ? BigInt(digits) : undefined
  let number = 0n
  for (const digit of digits) {
    const value = parseInt(digit, 36)
    if (!(value < base)) return undefined
    number = number * BigInt(base) + BigInt(value)
  }
  return number
}

function readFloat(value: Value): number | undefined {
  const number = toNumber(value)
  if (number !== undefined) return Number(number)
  if (!(value instanceof Text)) return undefined
  const text = value.value.trim().toLowerCase()
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(text)
  if (special) return special[2] === 'nan' ? NaN : special[1] === '-' ? -Infinity : Infinity
  const isNumber =
    /^[-+]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/.test(text)
  return isNumber ? Number(text.replaceAll('_', '')) : undefined
}

function round(value: Value, given: Bound): Value {
  const number = toNumber(value)
  if (number === undefined) throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`)
  const precision = given.integer('precision') ?? 0
  const method = given.text('method')?.value ?? 'common'
  if (!['common', 'ceil', 'floor'].includes(method))
    throw new TemplateError('method must be common, ceil or floor')
  if (method === 'common' && typeof number === 'bigint' && precision >= 0) return number
  const factor = 10 ** precision
  if (method !== 'common')
    return (method === 'ceil' ? Math.ceil : Math.floor)(Number(number) * factor) / factor
  return roundHalfToEven(Number(number), precision)
}

/** Python rounds the exact value of the float; a value in the middle goes to the even digit. */
function roundHalfToEven(number: number, precision: number): number {
  if (!Number.isFinite(number)) return number
  if (precision === 0) {
    const floor = Math.floor(number)
    const rest = number - floor
    const rounded = rest === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(number)
    // Python keeps the sign of zero.
    return rounded === 0 && number < 0 ? -0 : rounded
  }
  if (precision < 0) return Math.round(number / 10 ** -precision) * 10 ** -precision
  return precision > 100 ? number : Number(number.toFixed(precision))
}

/** Encodes as Python's `urllib.parse.quote` does, which keeps `/`. */
function urlEncode(value: Value, toString: (value: Value) => Text): Text {
  const quote = (item: Value, keepsSlash: boolean) => {
    const text = toString(item)
    const encode = (part: string) => {
      const encoded = encodeURIComponent(part).replace(
        /[!'()*]/g,
        (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
      )
      return keepsSlash ? encoded.replaceAll('%2F', '/') : encoded.replaceAll('%20', '+')
    }
    return Text.join(text.pieces().map((piece) => piece.convert(encode)))
  }
  if (!(value instanceof Dict)) return quote(value, true)
  const pairs = Array.from(value.entries(), ([key, item]) =>
    Text.join([quote(key, false), Text.ofTemplate('='), quote(item, false)]),
  )
  return Text.join(pairs.flatMap((pair, index) => (index === 0 ? [pair] : [Text.ofTemplate('&'), pair])))
}
