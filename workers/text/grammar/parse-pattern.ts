import {
  choice,
  intersectRanges,
  invertRanges,
  joinRanges,
  lastCodePoint,
  nothing,
  repeat,
  sequence,
  set,
  type GrammarNode,
  type Ranges,
} from './grammar-node.js'
import { UnsupportedForm } from './unsupported-form.js'

/** A part of a pattern: a node, or an anchor. */
type Part = GrammarNode | { readonly kind: 'anchor'; readonly side: 'start' | 'end' }

/** The parts of one alternative, in order. A group that contains anchors is a list of its alternatives. */
type Alternative = readonly (Part | readonly Alternative[])[]

const anyCharacter = set(invertRanges([]))
/** The largest number of alternatives with anchors, and the largest number of repeats. */
const maxAlternatives = 256
const maxRepeats = 10_000

/**
 * Parses a JavaScript pattern as a grammar.
 * @param source the source of a RegExp without flags
 * @param whole true if the pattern must match the whole text; otherwise it can match anywhere, as `pattern` in a JSON schema
 * @throws UnsupportedForm for a pattern that is invalid or that no grammar can hold: look-around, back references, `\b`
 */
export function parsePattern(source: string, whole: boolean): GrammarNode {
  checkSyntax(source)
  const alternatives = parseAlternatives(createReader(source)).flatMap(spread)
  return choice(alternatives.map((parts) => resolveAnchors(parts, source, whole)))
}

function checkSyntax(source: string): void {
  for (const flags of ['u', '']) {
    try {
      // oxlint-disable-next-line no-new -- throws if the pattern is invalid
      new RegExp(source, flags)
      return
    } catch {
      // Old schemas contain patterns that are valid only without the flag.
    }
  }
  throw new UnsupportedForm(`The pattern ${JSON.stringify(source)} is not a valid regular expression.`)
}

/** Spreads groups with anchors: `(^a|b)c` becomes `^ac` and `bc`. */
function spread(alternative: Alternative): readonly (readonly Part[])[] {
  let spreads: readonly (readonly Part[])[] = [[]]
  for (const part of alternative) {
    const options = isGroup(part) ? part.flatMap(spread) : [[part]]
    spreads = spreads.flatMap((before) => options.map((after) => before.concat(after)))
    if (spreads.length > maxAlternatives) throw new UnsupportedForm('A pattern has too many alternatives.')
  }
  return spreads
}

function isGroup(part: Part | readonly Alternative[]): part is readonly Alternative[] {
  return Array.isArray(part)
}

function resolveAnchors(parts: readonly Part[], source: string, whole: boolean): GrammarNode {
  const isAnchor = (part: Part | undefined, side: 'start' | 'end') =>
    part?.kind === 'anchor' && part.side === side
  let from = 0
  let to = parts.length
  while (isAnchor(parts[from], 'start')) from += 1
  while (to > from && isAnchor(parts[to - 1], 'end')) to -= 1
  const nodes = parts.slice(from, to).map((part) => {
    if (part.kind !== 'anchor') return part
    throw new UnsupportedForm(`The pattern ${JSON.stringify(source)} has "^" or "$" in the middle.`)
  })
  const rest = repeat(anyCharacter, 0)
  return sequence(
    ...(from > 0 || whole ? [] : [rest]),
    ...nodes,
    ...(to < parts.length || whole ? [] : [rest]),
  )
}

interface Reader {
  readonly source: string
  /** The next character, or undefined at the end. */
  peek(): string | undefined
  next(): string
  /** Reads `text` if it follows. */
  take(text: string): boolean
  /** Reads a match of a sticky expression. */
  match(expression: RegExp): RegExpExecArray | undefined
}

function createReader(source: string): Reader {
  let index = 0
  return {
    source,
    peek: () => (index < source.length ? String.fromCodePoint(source.codePointAt(index)!) : undefined),
    next() {
      const character = String.fromCodePoint(source.codePointAt(index)!)
      index += character.length
      return character
    },
    take(text) {
      const follows = source.startsWith(text, index)
      if (follows) index += text.length
      return follows
    },
    match(expression) {
      expression.lastIndex = index
      const match = expression.exec(source) ?? undefined
      if (match) index = expression.lastIndex
      return match
    },
  }
}

function parseAlternatives(reader: Reader): readonly Alternative[] {
  const alternatives: Alternative[] = []
  do alternatives.push(parseSequence(reader))
  while (reader.take('|'))
  return alternatives
}

function parseSequence(reader: Reader): Alternative {
  const parts: (Part | readonly Alternative[])[] = []
  for (let next = reader.peek(); next !== undefined && next !== '|' && next !== ')'; next = reader.peek()) {
    const part = parsePart(reader)
    const count = parseCount(reader)
    if (!count) parts.push(part)
    else if (isGroup(part) || part.kind === 'anchor')
      throw new UnsupportedForm(`The pattern ${JSON.stringify(reader.source)} repeats "^" or "$".`)
    else parts.push(repeat(part, ...count))
  }
  return parts
}

function parseCount(reader: Reader): readonly [min: number, max: number] | undefined {
  const match = reader.match(/(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y)
  if (!match) return undefined
  const [, sign, min, comma, max] = match
  if (sign !== undefined) return [sign === '+' ? 1 : 0, sign === '?' ? 1 : Infinity]
  const count = [
    Number(min),
    comma === undefined ? Number(min) : max === '' ? Infinity : Number(max),
  ] as const
  if (count.every((each) => each <= maxRepeats || each === Infinity)) return count
  throw new UnsupportedForm(`The pattern ${JSON.stringify(reader.source)} repeats too often.`)
}

function parsePart(reader: Reader): Part | readonly Alternative[] {
  const character = reader.next()
  if (character === '^') return { kind: 'anchor', side: 'start' }
  if (character === '$') return { kind: 'anchor', side: 'end' }
  if (character === '(') return parseGroup(reader)
  if (character === '[') return set(parseClass(reader))
  if (character === '.') return set(expand('.'))
  if (character === '\\') return set(parseEscape(reader, false))
  return set(single(character))
}

function parseGroup(reader: Reader): GrammarNode | readonly Alternative[] {
  if (reader.take('?') && !reader.take(':') && !reader.match(/<\w+>/y)) return refuse(reader, 'look-around')
  const alternatives = parseAlternatives(reader)
  reader.take(')')
  const plain = alternatives.map(toNode)
  return plain.every((node) => node !== undefined) ? choice(plain) : alternatives
}

/** Returns undefined if the alternative contains anchors. */
function toNode(alternative: Alternative): GrammarNode | undefined {
  const nodes = alternative.map((part) => (isGroup(part) || part.kind === 'anchor' ? undefined : part))
  if (nodes.length === 0) return nothing
  return nodes.every((node) => node !== undefined) ? sequence(...nodes) : undefined
}

function parseClass(reader: Reader): Ranges {
  const isInverted = reader.take('^')
  let ranges: Ranges = []
  while (!reader.take(']')) {
    const first = parseClassPart(reader)
    const canStart = first.length === 1 && first[0]![0] === first[0]![1]
    if (canStart && reader.match(/-(?!\])/y)) {
      const last = parseClassPart(reader)
      const isSingle = last.length === 1 && last[0]![0] === last[0]![1]
      ranges = isSingle
        ? [...ranges, [first[0]![0], last[0]![0]]]
        : [...ranges, ...first, ...single('-'), ...last]
    } else ranges = [...ranges, ...first]
  }
  return isInverted ? invertRanges(ranges) : intersectRanges(ranges, [[0, lastCodePoint]])
}

function parseClassPart(reader: Reader): Ranges {
  const character = reader.next()
  return character === '\\' ? parseEscape(reader, true) : single(character)
}

const controlEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  f: '\f',
  v: '\v',
  0: '\0',
}

function parseEscape(reader: Reader, isInClass: boolean): Ranges {
  const named = reader.match(/u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})/y)
  if (named) {
    const code = Number.parseInt(named[1] ?? named[2] ?? named[3]!, 16)
    const low = code >>> 10 === 0x36 && reader.match(/\\u([dD][c-fC-F][0-9a-fA-F]{2})/y)
    if (!low) return [[code, code]]
    return single(String.fromCharCode(code, Number.parseInt(low[1]!, 16)))
  }
  if (reader.match(/[pP]\{/y)) return refuse(reader, 'a Unicode property')
  const character = reader.next()
  if (/[dDwWsS]/.test(character)) return expand(`\\${character}`)
  if (character === 'b' && isInClass) return single('\b')
  if (/[bB]/.test(character)) return refuse(reader, `"\\${character}"`)
  if (/[1-9k]/.test(character)) return refuse(reader, 'a back reference')
  return single(controlEscapes[character] ?? character)
}

function refuse(reader: Reader, part: string): never {
  throw new UnsupportedForm(
    `The pattern ${JSON.stringify(reader.source)} uses ${part}, which no grammar can hold.`,
  )
}

function single(character: string): Ranges {
  const code = character.codePointAt(0)!
  return [[code, code]]
}

const expanded = new Map<string, Ranges>()

/** Returns the code points that an expression of one character matches. */
function expand(source: string): Ranges {
  const known = expanded.get(source)
  if (known) return known
  const expression = new RegExp(`^${source}$`, 'u')
  const ranges: [number, number][] = []
  for (let code = 0; code <= lastCodePoint; code += 1) {
    if (!expression.test(String.fromCodePoint(code))) continue
    const previous = ranges.at(-1)
    if (previous?.[1] === code - 1) previous[1] = code
    else ranges.push([code, code])
  }
  const result = intersectRanges(joinRanges(ranges), [[0, lastCodePoint]])
  expanded.set(source, result)
  return result
}
