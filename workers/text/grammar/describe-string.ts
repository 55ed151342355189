import { boundLength } from './bound-length.js'
import type { FlatSchema } from './flatten-schema.js'
import {
  choice,
  impossible,
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

const setOf = (characters: string) =>
  set(Array.from(characters, (each) => [each.codePointAt(0)!, each.codePointAt(0)!] as const))

/** What follows `\u`: a UTF-16 code unit that is not a surrogate. Half a pair is no character, and a pair would count as two. */
const unit = choice([
  sequence(setOf('0123456789ABCEFabcef'), repeat(hexDigit, 3, 3)),
  sequence(setOf('Dd'), setOf('01234567'), repeat(hexDigit, 2, 2)),
])
const escapeSequence = sequence(literal('\\'), choice([setOf('"/\\bfnrt'), sequence(literal('u'), unit)]))

/**
 * The rules that strings of JSON use. A string continues in the same rule up to its end: a grammar engine decides in advance
 * only about tokens that stay within one rule.
 */
export const stringRules: readonly (readonly [name: string, node: GrammarNode])[] = [
  ['string', sequence(quote, rule('stringRest'))],
  [
    'stringRest',
    choice([quote, sequence(set(plain), rule('stringRest')), sequence(escapeSequence, rule('stringRest'))]),
  ],
  ['nameRest', choice([quote, sequence(set(plain), rule('nameRest'))])],
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
    // Without escapes: a grammar engine prepares each place in the string, and there are many.
    return sequence(quote, repeat(set(plain), minLength, maxLength), quote)
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

/** How many characters of an excluded name are compared. */
const maxCompared = 4

/**
 * Describes the names of properties that are not in `excluded`, and that do not start as a long one of them. They contain no
 * escapes, which could spell an excluded name.
 */
export function describeOtherNames(excluded: readonly string[]): GrammarNode {
  const starts = new Set(excluded.map((name) => JSON.stringify(name).slice(1, -1)))
  const follow = (suffixes: readonly string[], depth: number): GrammarNode => {
    const heads = new Map<number, string[]>()
    for (const suffix of suffixes) {
      const code = suffix.codePointAt(0)
      if (code !== undefined) heads.set(code, [...(heads.get(code) ?? []), suffix])
    }
    const others = invertRanges(Array.from(heads.keys(), (code) => [code, code] as const))
    return choice([
      ...(suffixes.includes('') ? [] : [quote]),
      sequence(set(intersectRanges(plain, others)), rule('nameRest')),
      ...Array.from(heads, ([code, group]) => {
        const head = String.fromCodePoint(code)
        const tails = group.map((suffix) => suffix.slice(head.length))
        return depth === maxCompared && !tails.includes('')
          ? impossible
          : sequence(literal(head), follow(tails, depth + 1))
      }),
    ])
  }
  return sequence(quote, starts.size === 0 ? rule('nameRest') : follow([...starts], 1))
}
