import { choice, literal, optional, repeat, sequence, set, type GrammarNode } from './grammar-node.js'

/** The limits of a number. A missing limit is infinite. */
export interface NumberLimits {
  readonly min?: number
  readonly max?: number
  readonly isMinExclusive?: boolean
  readonly isMaxExclusive?: boolean
}

/** Numbers of up to 15 digits are exact as doubles, so a text that is in the range stays in it when it is parsed. */
const maxDigits = 15
const digit = (first = 0, last = 9) => set([[48 + first, 48 + last]])
const digits = (min: number, max: number) => repeat(digit(), min, max)

/** Returns the grammar of the integers in the limits. @returns undefined if none has up to 15 digits */
export function describeIntegers(limits: NumberLimits): GrammarNode | undefined {
  const largest = 10 ** maxDigits - 1
  const { min = -largest, max = largest, isMinExclusive = false, isMaxExclusive = false } = limits
  const first = Math.max(-largest, isMinExclusive ? Math.floor(min) + 1 : Math.ceil(min))
  const last = Math.min(largest, isMaxExclusive ? Math.ceil(max) - 1 : Math.floor(max))
  if (first > last) return undefined
  const choices: GrammarNode[] = []
  if (first < 0) choices.push(sequence(literal('-'), describeRange(Math.max(1, -last), -first)))
  if (last >= 0) choices.push(describeRange(Math.max(0, first), last))
  return choice(choices)
}

/** Returns the grammar of the integers from `first` to `last`, which are not negative, without leading zeros. */
function describeRange(first: number, last: number): GrammarNode {
  const choices: GrammarNode[] = []
  for (let length = String(first).length; length <= String(last).length; length += 1) {
    const from = Math.max(first, length === 1 ? 0 : 10 ** (length - 1))
    const to = Math.min(last, 10 ** length - 1)
    choices.push(describeDigits(String(from), String(to)))
  }
  const full = choices.length > 2 && first <= 1
  if (!full || !/^9+$/.test(String(last))) return choice(choices)
  const positive = sequence(digit(1), digits(0, String(last).length - 1))
  return first === 0 ? choice([literal('0'), positive]) : positive
}

/** Returns the grammar of the texts of digits from `from` to `to`, which have the same length. */
function describeDigits(from: string, to: string): GrammarNode {
  if (from === to) return literal(from)
  const rest = from.length - 1
  const [low, high] = [Number(from[0]), Number(to[0])]
  if (rest === 0) return digit(low, high)
  if (low === high) return sequence(literal(from[0]!), describeDigits(from.slice(1), to.slice(1)))
  const zeros = '0'.repeat(rest)
  const nines = '9'.repeat(rest)
  const choices: GrammarNode[] = []
  const isLowFull = from.slice(1) === zeros
  const isHighFull = to.slice(1) === nines
  if (!isLowFull) choices.push(sequence(literal(from[0]!), describeDigits(from.slice(1), nines)))
  const [start, end] = [isLowFull ? low : low + 1, isHighFull ? high : high - 1]
  if (start <= end) choices.push(sequence(digit(start, end), digits(rest, rest)))
  if (!isHighFull) choices.push(sequence(literal(to[0]!), describeDigits(zeros, to.slice(1))))
  return choice(choices)
}

/** Returns the grammar of the numbers in the limits. @returns undefined if there is none */
export function describeNumbers(limits: NumberLimits): GrammarNode | undefined {
  if (limits.min === undefined && limits.max === undefined) {
    const exponent = sequence(
      set([
        [69, 69],
        [101, 101],
      ]),
      optional(
        set([
          [43, 43],
          [45, 45],
        ]),
      ),
      digits(1, 2),
    )
    return sequence(
      optional(literal('-')),
      describeRange(0, 10 ** maxDigits - 1),
      optional(fraction()),
      optional(exponent),
    )
  }
  const from = readLimit(limits.min ?? -largestWhole, 1, limits.isMinExclusive)
  const to = readLimit(limits.max ?? largestWhole, -1, limits.isMaxExclusive)
  const choices: GrammarNode[] = []
  const isNegative = ({ value }: Limit) => value < 0
  if (isNegative(from)) {
    const smallest = isNegative(to) ? negate(to) : { ...zero, isExclusive: to.value === 0 && to.isExclusive }
    const negative = describeAbsolute(smallest, negate(from))
    if (negative) choices.push(sequence(literal('-'), negative))
  }
  if (!isNegative(to)) {
    const positive = describeAbsolute(isNegative(from) ? zero : from, to)
    if (positive) choices.push(positive)
  }
  return choices.length === 0 ? undefined : choice(choices)
}

function fraction(): GrammarNode {
  return sequence(literal('.'), digits(1, maxDigits))
}

/** A limit with its digits before and after the point. The digits after it have no zeros at the end. */
interface Limit {
  readonly value: number
  readonly whole: number
  readonly decimals: string
  readonly isExclusive: boolean
}

const zero: Limit = { value: 0, whole: 0, decimals: '', isExclusive: false }

/** The numbers with limits have up to 15 digits before the point and up to 6 after it. */
const largestWhole = 10 ** maxDigits - 1
const maxDecimals = 6

/** Reads a limit, and moves it inwards to a number with these digits. @param inwards 1 for a minimum, -1 for a maximum */
function readLimit(limit: number, inwards: 1 | -1, isExclusive = false): Limit {
  const value = Math.min(largestWhole, Math.max(-largestWhole, limit))
  const unit = 10 ** -maxDecimals
  let text = value.toFixed(maxDecimals)
  if ((Number(text) - limit) * inwards < 0) text = (value + unit * inwards).toFixed(maxDecimals)
  const [whole = '', decimals = ''] = text.replace('-', '').split('.')
  return {
    value: Number(text),
    whole: Number(whole),
    decimals: decimals.replace(/0+$/, ''),
    isExclusive: isExclusive && Number(text) === limit,
  }
}

function negate(limit: Limit): Limit {
  return { ...limit, value: -limit.value }
}

/** Returns the grammar of the numbers from `from` to `to`, which are not negative. */
function describeAbsolute(from: Limit, to: Limit): GrammarNode | undefined {
  if (from.value > to.value) return undefined
  if (from.whole === to.whole) {
    const decimals = describeDecimals(from, to)
    return decimals && sequence(literal(String(from.whole)), decimals)
  }
  const choices: GrammarNode[] = []
  const add = (whole: number, decimals: GrammarNode | undefined) => {
    if (decimals) choices.push(sequence(literal(String(whole)), decimals))
  }
  const isFromFull = from.decimals === '' && !from.isExclusive
  if (!isFromFull) add(from.whole, describeDecimals(from, undefined))
  const first = isFromFull ? from.whole : from.whole + 1
  if (first <= to.whole - 1) {
    choices.push(
      sequence(describeRange(first, to.whole - 1), optional(sequence(literal('.'), digits(1, maxDecimals)))),
    )
  }
  add(to.whole, describeDecimals(undefined, to))
  return choices.length === 0 ? undefined : choice(choices)
}

/** Returns the grammar of the fractions between the decimals of two limits, with the point, or without any digits. */
function describeDecimals(from: Limit | undefined, to: Limit | undefined): GrammarNode | undefined {
  const scale = maxDecimals
  const low = from ? Number(from.decimals.padEnd(scale, '0')) + (from.isExclusive ? 1 : 0) : 0
  const high = to ? Number(to.decimals.padEnd(scale, '0')) - (to.isExclusive ? 1 : 0) : 10 ** scale - 1
  if (low > high) return undefined
  const choices: GrammarNode[] = []
  // Shorter fractions: those whose digits, with zeros at the end, are in the range.
  for (let length = 1; length <= scale; length += 1) {
    const unit = 10 ** (scale - length)
    const [first, last] = [Math.ceil(low / unit), Math.floor(high / unit)]
    if (first > last) continue
    const write = (number: number) => String(number).padStart(length, '0')
    choices.push(sequence(literal('.'), describeDigits(write(first), write(last))))
  }
  if (low === 0) return choices.length === 0 ? sequence() : optional(choice(choices))
  return choices.length === 0 ? undefined : choice(choices)
}
