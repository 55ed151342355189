import { boundLength } from './bound-length.js'
import type { FlatSchema } from './flatten-schema.js'
import {
  choice,
  intersectRanges,
  invertRanges,
  literal,
  repeat,
  rule,
  sequence,
  set,
  type GrammarNode,
  type Ranges,
} from './grammar-node.js'
import { parsePattern } from './parse-pattern.js'
import { stringFormats, unsupportedFormats } from './string-formats.js'
import { unsupportedKeyword } from './flatten-schema.js'
import { UnsupportedForm } from './unsupported-form.js'

const quote = literal('"')
const quoteCode = 0x22
const backslashCode = 0x5c
const controls: Ranges = [[0, 0x1f]]
/** The characters that a JSON string contains as they are. */
const plain: Ranges = invertRanges([...controls, [quoteCode, quoteCode], [backslashCode, backslashCode]])
const hexDigit = set([
  [48, 57],
  [65, 70],
  [97, 102],
])

/** The rules that strings of JSON use. */
export const stringRules: readonly (readonly [name: string, node: GrammarNode])[] = [
  [
    'character',
    choice([
      set(plain),
      sequence(
        literal('\\'),
        choice([
          set([
            [0x22, 0x22],
            [0x2f, 0x2f],
            [0x5c, 0x5c],
            ...Array.from('bfnrt', (letter) => [letter.charCodeAt(0), letter.charCodeAt(0)] as const),
          ]),
          sequence(literal('u'), rule('unit')),
        ]),
      ),
    ]),
  ],
  // A UTF-16 code unit that is not a surrogate: half a pair is no character, and two escapes would count as one.
  [
    'unit',
    choice([
      sequence(
        set([
          [48, 57],
          [65, 67],
          [69, 70],
          [97, 99],
          [101, 102],
        ]),
        repeat(hexDigit, 3, 3),
      ),
      sequence(
        set([
          [68, 68],
          [100, 100],
        ]),
        set([[48, 55]]),
        repeat(hexDigit, 2, 2),
      ),
    ]),
  ],
  ['string', sequence(quote, repeat(rule('character'), 0), quote)],
]

/**
 * Describes the strings of a schema.
 * @throws UnsupportedForm if its keywords cannot be held together
 */
export function describeString(schema: FlatSchema, path: string): GrammarNode | undefined {
  const { minLength, maxLength } = schema
  if (minLength > maxLength) return undefined
  const patterns = readPatterns(schema, path)
  if (patterns.length > 1)
    throw unsupportedKeyword('pattern', path, ' together with another pattern or with "format"')
  const [pattern] = patterns
  if (!pattern) {
    if (minLength === 0 && maxLength === Infinity) return rule('string')
    return sequence(quote, repeat(rule('character'), minLength, maxLength), quote)
  }
  // A pattern for texts of one length is meant for the whole text, even if it is not anchored.
  const [source] = minLength === maxLength ? schema.patterns : []
  const whole = source === undefined ? pattern : parsePattern(source, true)
  const bounded = boundLength(whole, minLength, maxLength) ?? boundLength(pattern, minLength, maxLength)
  if (!bounded) throw unsupportedKeyword('pattern', path, ' together with "minLength" or "maxLength"')
  return sequence(quote, escape(bounded), quote)
}

function readPatterns({ patterns, formats }: FlatSchema, path: string): readonly GrammarNode[] {
  const unsupported = formats.find((format) => unsupportedFormats.has(format))
  if (unsupported !== undefined)
    throw new UnsupportedForm(
      `The JSON schema uses the format "${unsupported}" at ${path}, which cannot be held.`,
    )
  return [
    ...patterns.map((source) => parsePattern(source, false)),
    ...formats.flatMap((format) => {
      const source = stringFormats.get(format)
      return source === undefined ? [] : [parsePattern(source, true)]
    }),
  ]
}

/** The escapes of the characters that a JSON string does not contain as they are. */
const shortEscapes: ReadonlyMap<number, string> = new Map(
  Array.from('"\\\b\f\n\r\t', (character) => [
    character.charCodeAt(0),
    JSON.stringify(character).slice(1, -1),
  ]),
)

/** Replaces the characters of a pattern by those of a JSON string. */
function escape(node: GrammarNode): GrammarNode {
  switch (node.kind) {
    case 'literal':
      return literal(JSON.stringify(node.text).slice(1, -1))
    case 'set':
      return escapeSet(node.ranges)
    case 'sequence':
      return sequence(...node.items.map(escape))
    case 'choice':
      return choice(node.items.map(escape))
    case 'repeat':
      return { ...node, item: escape(node.item) }
    case 'rule':
      return node
  }
}

function escapeSet(ranges: Ranges): GrammarNode {
  const safe = intersectRanges(ranges, plain)
  const escaped = [...shortEscapes].filter(([code]) =>
    ranges.some(([first, last]) => first <= code && code <= last),
  )
  return choice([...(safe.length > 0 ? [set(safe)] : []), ...escaped.map(([, text]) => literal(text))])
}

/**
 * Describes the names of properties that are not in `excluded`. They contain no escapes, which could spell an excluded name.
 */
export function describeOtherNames(excluded: readonly string[]): GrammarNode {
  const texts = excluded.map((name) => Array.from(JSON.stringify(name).slice(1, -1)))
  const rest = repeat(set(plain), 0)
  const follow = (suffixes: readonly (readonly string[])[]): GrammarNode => {
    const heads = new Map<string, (readonly string[])[]>()
    for (const [head, ...tail] of suffixes)
      if (head !== undefined) heads.set(head, [...(heads.get(head) ?? []), tail])
    const codes = [...heads.keys()].map((head) => [head.codePointAt(0)!, head.codePointAt(0)!] as const)
    return choice([
      ...(suffixes.some(({ length }) => length === 0) ? [] : [quote]),
      sequence(set(intersectRanges(plain, invertRanges(codes))), rest, quote),
      ...[...heads].map(([head, tails]) => sequence(literal(head), follow(tails))),
    ])
  }
  return sequence(quote, follow(texts))
}
