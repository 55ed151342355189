import { TemplateError, type Meter } from './meter.js'
import { Text } from './text.js'
import {
  Callable,
  Dict,
  DictView,
  List,
  Namespace,
  Structure,
  Undefined,
  compareStrings,
  typeName,
  type Value,
} from './values.js'

/** Converts a value as Python's `str()` does. */
export function toText(value: Value, meter: Meter): Text {
  if (value instanceof Text) return value
  if (value instanceof Undefined) return Text.empty
  return represent(value, meter)
}

/** Converts a value as Python's `repr()` does. */
export function represent(value: Value, meter: Meter): Text {
  const parts: Text[] = []
  writeValue(value, parts, meter, 0)
  return Text.join(parts)
}

/** Containers deeper than this fail in Python, too. */
const maxDepth = 500

function writeValue(value: Value, parts: Text[], meter: Meter, depth: number): void {
  meter.step()
  if (depth > maxDepth) throw new TemplateError('A value is nested too deeply.')
  const write = (text: string) => parts.push(Text.ofTemplate(text))
  const writeItems = (start: string, items: readonly Value[], end: string) => {
    write(start)
    for (const [index, item] of items.entries()) {
      if (index > 0) write(', ')
      writeValue(item, parts, meter, depth + 1)
    }
    write(end)
  }
  const writeEntries = (entries: Iterable<readonly [Value, Value]>) => {
    write('{')
    let isFirst = true
    for (const [key, item] of entries) {
      if (!isFirst) write(', ')
      isFirst = false
      writeValue(key, parts, meter, depth + 1)
      write(': ')
      writeValue(item, parts, meter, depth + 1)
    }
    write('}')
  }
  if (value instanceof Text) {
    meter.grow(value.value.length)
    if (value.isMarkup) parts.push(Text.ofTemplate('Markup('), quote(value), Text.ofTemplate(')'))
    else parts.push(quote(value))
  } else if (value instanceof List) {
    if (value.kind === 'range') write(value.title)
    else if (value.kind === 'list') writeItems('[', value.items, ']')
    else writeItems('(', value.items, value.items.length === 1 ? ',)' : ')')
  } else if (value instanceof Dict) writeEntries(value.entries())
  else if (value instanceof DictView) writeItems(`dict_${value.kind}([`, value.items, '])')
  else if (value instanceof Namespace) {
    write('<Namespace ')
    writeEntries(Array.from(value.attributes, ([name, item]) => [Text.ofTemplate(name), item] as const))
    write('>')
  } else write(writeSimple(value))
}

function writeSimple(value: Value): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return writeFloat(value)
  if (value instanceof Undefined) return 'Undefined'
  // Python writes the address of the object, which no template can want.
  return value instanceof Callable || value instanceof Structure
    ? `<${value.name}>`
    : `<${typeName(value)} object>`
}

/** Writes a float as Python does: with the fewest digits that give the same float. */
export function writeFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes('.') ? text : `${text}.0`
}

/** Quotes a string as a literal of Python. */
function quote(text: Text): Text {
  const mark = text.value.includes("'") && !text.value.includes('"') ? '"' : "'"
  const escaped = text.replaceEach(/['"\\]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === mark || character === '\\') return `\\${character}`
    if (character === "'" || character === '"') return character
    const known = pythonEscapes.get(character)
    if (known !== undefined) return known
    const hex = (character.codePointAt(0) ?? 0).toString(16)
    if (hex.length <= 2) return `\\x${hex.padStart(2, '0')}`
    return hex.length <= 4 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
  })
  return Text.join([Text.ofTemplate(mark), escaped, Text.ofTemplate(mark)])
}

const pythonEscapes: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
])

export interface JsonSettings {
  readonly isAscii: boolean
  /** The text for one level of indentation; undefined for one line. */
  readonly indent: Text | undefined
  readonly separators: { readonly item: Text; readonly key: Text } | undefined
  readonly sortsKeys: boolean
}

/** Writes a value as Python's `json.dumps` does. @throws TemplateError for a value that JSON does not have */
export function toJson(value: Value, settings: JsonSettings, meter: Meter): Text {
  const parts: Text[] = []
  const { indent, sortsKeys, isAscii } = settings
  const comma = settings.separators?.item ?? Text.ofTemplate(indent ? ',' : ', ')
  const colon = settings.separators?.key ?? Text.ofTemplate(': ')
  const write = (text: string) => parts.push(Text.ofTemplate(text))
  const writeText = (text: Text) => {
    meter.grow(text.value.length)
    const escaped = isAscii
      ? text.replaceEach(/["\\]|[^ -~]/g, escapeUnit)
      : text.replaceEach(/["\\\p{Cc}]/gu, (character) =>
          character < ' ' ? escapeUnit(character) : (jsonEscapes.get(character) ?? character),
        )
    parts.push(doubleQuote, escaped, doubleQuote)
  }

  function writeContainer(start: string, items: readonly (() => void)[], end: string, depth: number): void {
    write(start)
    for (const [index, writeItem] of items.entries()) {
      if (index > 0) parts.push(comma)
      breakLine(depth + 1)
      writeItem()
    }
    if (items.length > 0) breakLine(depth)
    write(end)
  }

  function breakLine(depth: number): void {
    if (!indent) return
    write('\n')
    for (let level = 0; level < depth; level += 1) parts.push(indent)
  }

  function writeAny(item: Value, depth: number): void {
    meter.step()
    if (depth > maxDepth) throw new TemplateError('A value is nested too deeply.')
    if (item instanceof Text) writeText(item)
    else if (item === null) write('null')
    else if (typeof item === 'boolean') write(String(item))
    else if (typeof item === 'bigint') write(String(item))
    else if (typeof item === 'number') write(writeJsonFloat(item))
    else if (item instanceof List && item.kind !== 'range') {
      writeContainer(
        '[',
        item.items.map((entry) => () => writeAny(entry, depth + 1)),
        ']',
        depth,
      )
    } else if (item instanceof Dict) {
      const entries = Array.from(item.entries(), ([key, entry]) => [nameKey(key), entry] as const)
      if (sortsKeys) entries.sort(([a], [b]) => compareStrings(a.value, b.value))
      writeContainer(
        '{',
        entries.map(([key, entry]) => () => {
          writeText(key)
          parts.push(colon)
          writeAny(entry, depth + 1)
        }),
        '}',
        depth,
      )
    } else throw new TemplateError(`Object of type ${typeName(item)} is not JSON serializable`)
  }

  writeAny(value, 0)
  return Text.join(parts)
}

const doubleQuote = Text.ofTemplate('"')

function writeJsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  return writeFloat(value)
}

function nameKey(key: Value): Text {
  if (key instanceof Text) return key
  if (key === null) return Text.ofTemplate('null')
  if (typeof key === 'boolean' || typeof key === 'bigint') return Text.ofTemplate(String(key))
  if (typeof key === 'number') return Text.ofTemplate(writeJsonFloat(key))
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
}

const jsonEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\f', '\\f'],
  ['\b', '\\b'],
])

function escapeUnit(unit: string): string {
  return jsonEscapes.get(unit) ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
