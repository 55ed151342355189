import { TemplateError, type Meter } from './meter.js'
import { represent, toText, writeFloat } from './represent.js'
import { Text, escapeMarkup } from './text.js'
import { Dict, List, Undefined, toNumber, typeName, type Value } from './values.js'

const percentPattern = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([^])/g

/** Python's `template % values`. */
export function formatPercent(template: Text, values: Value, meter: Meter): Text {
  const list = values instanceof List && values.kind === 'tuple' ? values.items : [values]
  let used = 0
  const takeNext = (): Value => {
    const value = list[used]
    used += 1
    if (value === undefined) throw new TemplateError('not enough arguments for format string')
    return value
  }
  const parts: Text[] = []
  let done = 0
  let usesKeys = false
  for (const match of template.value.matchAll(percentPattern)) {
    const [whole, key, flags = '', width, precision, type = ''] = match
    parts.push(template.cut(done, match.index))
    done = match.index + whole.length
    if (type === '%') {
      parts.push(Text.ofTemplate('%'))
      continue
    }
    if (width === '*' || precision === '*')
      throw new TemplateError('"*" in a format string is not supported.')
    usesKeys ||= key !== undefined
    const value = key === undefined ? takeNext() : lookUp(values, key)
    const layout = {
      fill: flags.includes('0') && !flags.includes('-') && 'diufFxXo'.includes(type) ? '0' : ' ',
      align: flags.includes('-') ? '<' : '>',
      sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
      isAlternate: flags.includes('#'),
      width: Number(width ?? 0),
      comma: '',
      precision: precision === undefined ? undefined : Number(precision),
    } as const
    const shown = formatPercentValue(value, type, layout, meter)
    parts.push(template.isMarkup ? escapeMarkup(shown) : shown)
  }
  if (/%(?:\([^)]*\))?[-+ #0]*\d*\.?\d*$/.test(template.value.slice(done))) {
    throw new TemplateError('incomplete format')
  }
  // Python takes every value with items for a mapping, of which the template may use nothing.
  const isMapping =
    values instanceof Dict ||
    values instanceof Undefined ||
    (values instanceof List && values.kind !== 'tuple')
  if (used < list.length && !usesKeys && !isMapping) {
    throw new TemplateError('not all arguments converted during string formatting')
  }
  parts.push(template.cut(done))
  return Text.join(parts).as(template.isMarkup ? 'markup' : 'plain')
}

function lookUp(values: Value, key: string): Value {
  if (!(values instanceof Dict)) throw new TemplateError('format requires a mapping')
  const value = values.getNamed(key)
  if (value === undefined) throw new TemplateError(`KeyError: '${key}'`)
  return value
}

interface Layout {
  readonly fill: string
  readonly align: '<' | '>' | '^' | '='
  readonly sign: '+' | '-' | ' '
  readonly isAlternate: boolean
  readonly width: number
  readonly comma: string
  readonly precision: number | undefined
}

function formatPercentValue(value: Value, type: string, layout: Layout, meter: Meter): Text {
  if (type === 's' || type === 'r' || type === 'a') {
    const text = type === 's' ? toText(value, meter) : represent(value, meter)
    return pad(
      layout.precision === undefined ? text : text.slice(0, Math.min(layout.precision, text.length)),
      layout,
      meter,
    )
  }
  if (type === 'c') {
    const character =
      value instanceof Text ? value : Text.ofTemplate(String.fromCodePoint(Number(toNumber(value) ?? NaN)))
    return pad(character, layout, meter)
  }
  const number = toNumber(value)
  if (number === undefined)
    throw new TemplateError(`%${type} format: a real number is required, not ${typeName(value)}`)
  if ('diu'.includes(type)) {
    const whole = typeof number === 'bigint' ? number : truncate(number)
    return padNumber(writeInteger(whole, 10, layout), layout, meter)
  }
  if ('xXo'.includes(type)) {
    if (typeof number !== 'bigint')
      throw new TemplateError(`%${type} format: an integer is required, not float`)
    return padNumber(writeInteger(number, type === 'o' ? 8 : 16, layout, type), layout, meter)
  }
  if ('eEfFgG'.includes(type)) return padNumber(writeReal(Number(number), type, layout), layout, meter)
  throw new TemplateError(`unsupported format character '${type}'`)
}

export function truncate(number: number): bigint {
  if (!Number.isFinite(number))
    throw new TemplateError(`cannot convert float ${writeFloat(number)} to integer`)
  return BigInt(Math.trunc(number))
}

function writeInteger(number: bigint, base: number, layout: Layout, type = 'd'): string {
  const digits = (number < 0n ? -number : number).toString(base)
  const grouped = layout.comma === '' ? digits : digits.replace(/\B(?=(\d{3})+$)/g, layout.comma)
  const prefix = layout.isAlternate && base !== 10 ? `0${type}` : ''
  return writeSign(number < 0n, layout) + prefix + (type === 'X' ? grouped.toUpperCase() : grouped)
}

function writeSign(isNegative: boolean, { sign }: Layout): string {
  return isNegative ? '-' : sign === '-' ? '' : sign
}

function writeReal(number: number, type: string, layout: Layout): string {
  const isNegative = number < 0 || Object.is(number, -0)
  const size = Math.abs(number)
  const sign = writeSign(isNegative, layout)
  if (!Number.isFinite(size)) return sign + (Number.isNaN(size) ? 'nan' : 'inf')
  const { precision = 6 } = layout
  if (precision > 100) throw new TemplateError('precision too big')
  const kind = type.toLowerCase()
  let digits: string
  if (kind === 'f' || type === '%') digits = (type === '%' ? size * 100 : size).toFixed(precision)
  else if (kind === 'e') digits = writeExponent(size, precision)
  else digits = writeGeneral(size, precision || 1, layout.isAlternate)
  if (layout.comma !== '')
    digits = digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, layout.comma))
  if (type === '%') digits += '%'
  return sign + (type !== '%' && type !== kind ? digits.toUpperCase() : digits)
}

function writeExponent(size: number, precision: number): string {
  return size.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2')
}

function writeGeneral(size: number, precision: number, keepsZeros: boolean): string {
  const exponent = size === 0 ? 0 : Number(size.toExponential(precision - 1).split('e')[1])
  const isShort = exponent >= -4 && exponent < precision
  const text = isShort ? size.toFixed(precision - 1 - exponent) : writeExponent(size, precision - 1)
  if (keepsZeros || !text.includes('.')) return text
  return text.replace(/\.?0+(?=e|$)/, '')
}

/** Pads a number: with `=`, between the sign and the digits. */
function padNumber(text: string, layout: Layout, meter: Meter): Text {
  const missing = layout.width - text.length
  if (missing <= 0) return Text.ofTemplate(text)
  if (layout.align !== '=' && !(layout.fill === '0' && layout.align === '>')) {
    return pad(Text.ofTemplate(text), layout, meter)
  }
  meter.grow(layout.width)
  const [, sign = '', digits = ''] = /^([-+ ]?(?:0[xXob])?)(.*)$/.exec(text) ?? []
  return Text.ofTemplate(sign + layout.fill.repeat(missing) + digits)
}

export function pad(
  text: Text,
  { fill, align, width }: Pick<Layout, 'fill' | 'align' | 'width'>,
  meter: Meter,
): Text {
  const missing = width - text.length
  if (!(missing > 0)) return text
  meter.grow(width)
  const before = align === '>' || align === '=' ? missing : align === '^' ? Math.floor(missing / 2) : 0
  const parts = [Text.ofTemplate(fill.repeat(before)), text, Text.ofTemplate(fill.repeat(missing - before))]
  return Text.join(parts).as(text.isMarkup ? 'markup' : 'plain')
}

const specification = /^(?:([^])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u

/** Formats a value by a format specification, such as `>10` or `.2f`. */
function formatBySpecification(value: Value, text: string, meter: Meter): Text {
  if (text === '') return toText(value, meter)
  const match = specification.exec(text) ?? invalidSpecification(text)
  const [, fill, align, sign = '-', alternate, zero, width = '0', comma = '', precision, type] = match
  const number = value instanceof Text ? undefined : toNumber(value)
  const layout: Layout = {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: (align ?? (number === undefined ? '<' : zero === undefined ? '>' : '=')) as Layout['align'],
    sign: sign as Layout['sign'],
    isAlternate: alternate !== undefined,
    width: Number(width),
    comma,
    precision: precision === undefined ? undefined : Number(precision),
  }
  if (value instanceof Text) {
    if (type !== undefined && type !== 's') invalidSpecification(text)
    return formatPercentValue(value, 's', layout, meter)
  }
  if (number === undefined)
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`)
  if (typeof value === 'boolean' && type === undefined) return pad(toText(value, meter), layout, meter)
  if (typeof number === 'bigint' && (type === undefined || 'dxXobn'.includes(type))) {
    const base = { x: 16, X: 16, o: 8, b: 2 }[type ?? 'd'] ?? 10
    return padNumber(writeInteger(number, base, layout, type), layout, meter)
  }
  if (type === undefined && precision === undefined) {
    return padNumber(
      writeSign(Number(number) < 0, layout) + writeFloat(Math.abs(Number(number))),
      layout,
      meter,
    )
  }
  if (type !== undefined && !'eEfFgG%'.includes(type)) invalidSpecification(text)
  return padNumber(writeReal(Number(number), type ?? 'g', layout), layout, meter)
}

function invalidSpecification(text: string): never {
  throw new TemplateError(`Invalid format specifier '${text}'`)
}

/** Matches `{{`, `}}`, or a field `{name!conversion:specification}`, or a brace that is none of these. */
const fieldPattern = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g

/**
 * Python's `template.format(…)`.
 * @param find returns the value of a field by its name, such as `0`, `name` or `item.key[0]`
 */
export function formatBraces(template: Text, find: (field: string) => Value, meter: Meter): Text {
  const parts: Text[] = []
  let done = 0
  let automatic = 0
  const findField = (name: string) => {
    const isAutomatic = name === '' || /^[.[]/.test(name)
    const value = find(isAutomatic ? `${automatic}${name}` : name)
    if (isAutomatic) automatic += 1
    return value
  }
  for (const match of template.value.matchAll(fieldPattern)) {
    const [whole, name, conversion, layout = ''] = match
    parts.push(template.cut(done, match.index))
    done = match.index + whole.length
    if (whole === '{{' || whole === '}}') parts.push(Text.ofTemplate(whole[0]!))
    else if (name === undefined) throw new TemplateError(`Single '${whole}' encountered in format string`)
    else {
      const value = findField(name)
      const shown =
        conversion === undefined ? value : conversion === 's' ? toText(value, meter) : represent(value, meter)
      const nested = layout.replace(
        /\{([^{}]*)\}/g,
        (_, field: string) => toText(findField(field), meter).value,
      )
      const text = formatBySpecification(shown, nested, meter)
      parts.push(template.isMarkup ? escapeMarkup(text) : text)
    }
  }
  parts.push(template.cut(done))
  return Text.join(parts).as(template.isMarkup ? 'markup' : 'plain')
}
