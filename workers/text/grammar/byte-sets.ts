import {
  choice,
  joinRanges,
  sequence,
  set,
  type GrammarNode,
  type GrammarRules,
  type Ranges,
} from './grammar-node.js'
import { UnsupportedForm } from './unsupported-form.js'

/** The bytes that no text contains in UTF-8: RFC 3629, section 1. */
export function isUnusedByte(byte: number): boolean {
  return byte === 0xc0 || byte === 0xc1 || byte >= 0xf5
}

const unusedBytes = Array.from({ length: 256 }, (_, byte) => byte).filter(isUnusedByte)

/**
 * Replaces sets of characters by sets of bytes, as XGrammar 0.1.27 reads them: it takes each character of a set as a byte, and
 * only a set of one character as this character. So a set of one byte also gets a byte that no text contains.
 */
export function toByteSets(rules: GrammarRules): GrammarRules {
  return new Map(Array.from(rules, ([name, node]) => [name, convert(node)]))
}

function convert(node: GrammarNode): GrammarNode {
  switch (node.kind) {
    case 'set':
      return choice(listByteSequences(node.ranges))
    case 'sequence': {
      const [first, ...rest] = node.items
      const converted = rest.map(convert)
      // A choice with a rule after it stays in one rule: an engine decides in advance only about tokens within a rule.
      if (first?.kind === 'set' && rest.length === 1 && rest[0]!.kind === 'rule')
        return choice(listByteSequences(first.ranges).map((each) => sequence(each, ...converted)))
      return sequence(...(first ? [convert(first)] : []), ...converted)
    }
    case 'choice':
      return choice(
        node.items
          .map(convert)
          .flatMap((item) => (item.kind === 'choice' && item.items.length > 0 ? item.items : [item])),
      )
    case 'repeat':
      return { ...node, item: convert(node.item) }
    default:
      return node
  }
}

/** The last code points that have one, two, three and four bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff]

/** XGrammar 0.1.27 confuses the sequences of sets with hundreds of ranges. */
const maxRanges = 32

function listByteSequences(ranges: Ranges): readonly GrammarNode[] {
  if (ranges.filter(([, last]) => last > 0x7f).length > maxRanges)
    throw new UnsupportedForm(`A set has more than ${maxRanges} ranges of characters beyond ASCII.`)
  const ascii = ranges.flatMap(([first, last]) =>
    first <= 0x7f ? [[first, Math.min(last, 0x7f)] as const] : [],
  )
  const sequences = ranges.flatMap(([first, last]) =>
    lastOfLength.flatMap((end, index) => {
      const start = index === 0 ? 0 : lastOfLength[index - 1]! + 1
      const [from, to] = [Math.max(first, start), Math.min(last, end)]
      return index === 0 || from > to ? [] : splitRange(encode(from), encode(to))
    }),
  )
  return [
    ...(ascii.length > 0 ? [set(ascii)] : []),
    ...sequences.map((bytes) => sequence(...bytes.map(([first, last]) => byteSet(first, last)))),
  ]
}

function byteSet(first: number, last: number): GrammarNode {
  if (first < last) return set([[first, last]])
  // Not always the same one: XGrammar joins states that two sets lead to with the same byte.
  const unused = unusedBytes[first % unusedBytes.length]!
  return set(
    joinRanges([
      [first, first],
      [unused, unused],
    ]),
  )
}

type ByteRange = readonly [first: number, last: number]

/** Splits a range of characters with the same number of bytes into sequences of byte ranges. */
function splitRange(from: readonly number[], to: readonly number[]): readonly (readonly ByteRange[])[] {
  const [low, ...lowRest] = from
  const [high, ...highRest] = to
  if (low === undefined || high === undefined) return [[]]
  const prefix = (first: number, last: number, rests: readonly (readonly ByteRange[])[]) =>
    rests.map((rest) => [[first, last] as const, ...rest])
  if (low === high) return prefix(low, high, splitRange(lowRest, highRest))
  const isLowFull = lowRest.every((byte) => byte === 0x80)
  const isHighFull = highRest.every((byte) => byte === 0xbf)
  const [start, end] = [isLowFull ? low : low + 1, isHighFull ? high : high - 1]
  const all = [lowRest.map((): ByteRange => [0x80, 0xbf])]
  return [
    ...(isLowFull
      ? []
      : prefix(
          low,
          low,
          splitRange(
            lowRest,
            lowRest.map(() => 0xbf),
          ),
        )),
    ...(start <= end ? prefix(start, end, all) : []),
    ...(isHighFull
      ? []
      : prefix(
          high,
          high,
          splitRange(
            highRest.map(() => 0x80),
            highRest,
          ),
        )),
  ]
}

const encoder = new TextEncoder()

function encode(code: number): readonly number[] {
  return Array.from(encoder.encode(String.fromCodePoint(code)))
}
