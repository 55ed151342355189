import { formatPercent } from './format.js'
import { TemplateError, maxTextLength, type Meter } from './meter.js'
import { Text, escapeMarkup } from './text.js'
import {
  Dict,
  Iterated,
  List,
  Undefined,
  compare,
  isEqual,
  iterate,
  toArray,
  toNumber,
  typeName,
  type Value,
} from './values.js'

/** Integers beyond this size fail: their arithmetic could take any time. Python cannot print them either. */
const maxInteger = 1n << 14_000n

/** Computes `left operator right`, where the operator is one of `+ - * / // % **`. */
export function calculate(operator: string, left: Value, right: Value, meter: Meter): Value {
  if (operator === '%' && left instanceof Text) return formatPercent(left, right, meter)
  if (left instanceof Undefined) left.fail()
  if (right instanceof Undefined) right.fail()
  const [a, b] = [toNumber(left), toNumber(right)]
  if (a !== undefined && b !== undefined) return calculateNumber(operator, a, b)
  if (operator === '+') {
    if (left instanceof Text && right instanceof Text) {
      if (!left.isMarkup && !right.isMarkup) return concatTexts(left, right, meter)
      return concatTexts(escapeMarkup(left), escapeMarkup(right), meter).as('markup')
    }
    if (left instanceof List && right instanceof List && left.kind === right.kind && left.kind !== 'range') {
      meter.growList(left.items.length + right.items.length)
      return new List([...left.items, ...right.items], left.kind)
    }
  }
  if (operator === '*') {
    if (typeof b === 'bigint') return repeat(left, b, meter)
    if (typeof a === 'bigint') return repeat(right, a, meter)
  }
  throw new TemplateError(
    `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
  )
}

export function concatTexts(left: Text, right: Text, meter: Meter): Text {
  // A long string that grows by a short one is not copied.
  const shorter = Math.min(left.value.length, right.value.length)
  meter.grow(shorter + left.ranges.length + right.ranges.length)
  if (left.value.length + right.value.length > maxTextLength)
    meter.grow(left.value.length + right.value.length)
  return left.concat(right)
}

function repeat(value: Value, count: bigint, meter: Meter): Value {
  const times = Math.max(0, Number(count))
  if (value instanceof Text) return repeatText(value, times, meter)
  if (value instanceof List && value.kind !== 'range') {
    meter.growList(value.items.length * times)
    if (value.items.length === 0) return value
    return new List(Array.from({ length: times }, () => value.items).flat(), value.kind)
  }
  throw new TemplateError(`can't multiply sequence by non-int of type '${typeName(value)}'`)
}

export function repeatText(text: Text, times: number, meter: Meter): Text {
  if (text.value === '') return text
  meter.grow(text.value.length * times)
  const kind = text.isMarkup ? 'markup' : 'plain'
  if (text.ranges.length === 0) return Text.ofTemplate(text.value.repeat(times)).as(kind)
  return Text.join(Array.from({ length: times }, () => text)).as(kind)
}

function calculateNumber(operator: string, left: bigint | number, right: bigint | number): Value {
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    const result = calculateInteger(operator, left, right)
    if (typeof result === 'bigint' && (result > maxInteger || result < -maxInteger)) {
      throw new TemplateError('An integer is too large.')
    }
    return result
  }
  const [a, b] = [Number(left), Number(right)]
  if (b === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateError('division by zero')
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '//':
      return Math.floor(a / b)
    case '%':
      return floatRemainder(a, b)
    default:
      if (a < 0 && !Number.isInteger(b)) throw new TemplateError('Complex numbers are not supported.')
      return a ** b
  }
}

/** Python's remainder has the sign of the divisor. */
function floatRemainder(a: number, b: number): number {
  const remainder = a % b
  return remainder !== 0 && remainder < 0 !== b < 0 ? remainder + b : remainder
}

function calculateInteger(operator: string, a: bigint, b: bigint): bigint | number {
  if (b === 0n && ['/', '//', '%'].includes(operator)) throw new TemplateError('division by zero')
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return Number(a) / Number(b)
    case '//':
      return (a - floorRemainder(a, b)) / b
    case '%':
      return floorRemainder(a, b)
    default:
      return power(a, b)
  }
}

function floorRemainder(a: bigint, b: bigint): bigint {
  const remainder = a % b
  return remainder !== 0n && remainder < 0n !== b < 0n ? remainder + b : remainder
}

function power(base: bigint, exponent: bigint): bigint | number {
  if (exponent < 0n) return Number(base) ** Number(exponent)
  const bits = base.toString(2).length
  if (bits > 2 && BigInt(bits - 1) * exponent > 14_000n) throw new TemplateError('An integer is too large.')
  if (exponent > 14_000n && (base === 2n || base === -2n || base === 3n || base === -3n)) {
    throw new TemplateError('An integer is too large.')
  }
  return base ** exponent
}

/** Returns `-value` or `+value`. */
export function applySign(isNegative: boolean, value: Value): Value {
  if (value instanceof Undefined) value.fail()
  const number = toNumber(value)
  if (number === undefined) {
    throw new TemplateError(`bad operand type for unary ${isNegative ? '-' : '+'}: '${typeName(value)}'`)
  }
  return isNegative ? -number : number
}

/** Computes a comparison or a membership: `== != < <= > >= in not in`. */
export function compareValues(operator: string, left: Value, right: Value, meter: Meter): boolean {
  switch (operator) {
    case '==':
      return isEqual(left, right, meter)
    case '!=':
      return !isEqual(left, right, meter)
    case 'in':
      return contains(right, left, meter)
    case 'not in':
      return !contains(right, left, meter)
    case '<':
      return compare(left, right, operator, meter) < 0
    case '<=':
      return compare(left, right, operator, meter) <= 0
    case '>':
      return compare(left, right, operator, meter) > 0
    default:
      return compare(left, right, operator, meter) >= 0
  }
}

function contains(container: Value, item: Value, meter: Meter): boolean {
  if (container instanceof Text) {
    meter.scan(container.value.length)
    if (item instanceof Text) return container.value.includes(item.value)
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`)
  }
  if (container instanceof Dict) return container.get(item) !== undefined
  if (container instanceof Iterated) {
    const iterator = iterate(container)
    for (let next = iterator.next(); !next.done; next = iterator.next()) {
      if (isEqual(next.value, item, meter)) return true
    }
    return false
  }
  return toArray(container, meter).some((entry) => isEqual(entry, item, meter))
}

/** Returns an integer for an index or a count. @throws TemplateError for other types */
export function toIndex(value: Value): number {
  const number = toNumber(value)
  if (typeof number === 'bigint') return Number(number)
  throw new TemplateError(`'${typeName(value)}' object cannot be interpreted as an integer`)
}

/** Takes a slice, with Python's rules for missing and negative places. */
export function takeSlice(
  object: Value,
  [start, stop, step]: readonly Value[],
  meter: Meter,
): Value | undefined {
  if (!(object instanceof Text || object instanceof List)) return undefined
  if (object instanceof Text) meter.scan(object.value.length)
  const length = object instanceof Text ? object.length : object.items.length
  const stride = step === null || step === undefined ? 1 : toIndex(step)
  if (stride === 0) throw new TemplateError('slice step cannot be zero')
  const [low, high] = stride > 0 ? [0, length] : [-1, length - 1]
  const resolve = (place: Value | undefined, missing: number) => {
    if (place === null || place === undefined) return missing
    const index = toIndex(place)
    return Math.min(high, Math.max(low, index < 0 ? index + length : index))
  }
  const from = resolve(start, stride > 0 ? low : high)
  const to = resolve(stop, stride > 0 ? high : low)
  if (stride === -1 && object instanceof Text && from === length - 1 && to === -1) return object.reversed()
  if (stride === 1) {
    if (object instanceof Text) return from < to ? object.slice(from, to) : Text.empty
    return new List(object.items.slice(from, Math.max(from, to)), object.kind)
  }
  const items: readonly Value[] = object instanceof Text ? toArray(object, meter) : object.items
  const taken: Value[] = []
  for (let index = from; stride > 0 ? index < to : index > to; index += stride) taken.push(items[index]!)
  return object instanceof Text ? Text.join(taken as Text[]) : new List(taken, object.kind)
}
