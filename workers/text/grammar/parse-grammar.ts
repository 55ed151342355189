import {
  choice,
  invertRanges,
  joinRanges,
  literal,
  pruneGrammar,
  repeat,
  rule,
  sequence,
  set,
  type GrammarNode,
  type GrammarRules,
  type Ranges,
} from './grammar-node.js'
import { UnsupportedForm } from './unsupported-form.js'

const maxRepeats = 10_000

/**
 * Parses a grammar in GBNF. An engine gets only grammars that were checked here: XGrammar ends its whole runtime at an error.
 * https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 * @throws UnsupportedForm for a grammar that is invalid, or that no text fits
 */
export function parseGrammar(source: string): GrammarRules {
  const rules = readRules(source)
  if (!rules.has('root')) throw new UnsupportedForm('The grammar has no rule "root".')
  refuseLeftRecursion(rules)
  const pruned = pruneGrammar(rules)
  if (!pruned) throw new UnsupportedForm('No finite text fits the grammar.')
  return pruned
}

const tokenPattern =
  /\s+|#[^\n]*|(?<name>[A-Za-z0-9_-]+)(?<define>\s*::=)?|(?<text>"(?:[^"\\\n]|\\.)*")|(?<set>\[(?:[^\]\\]|\\.)*\])|(?<count>[*+?]|\{\s*(?<min>\d*)\s*(?:(?<comma>,)\s*(?<max>\d*)\s*)?\})|(?<sign>[()|.])/uy

type Groups = Readonly<Record<string, string | undefined>>

function tokenize(source: string): readonly Groups[] {
  const tokens: Groups[] = []
  for (let index = 0; index < source.length;) {
    tokenPattern.lastIndex = index
    const match = tokenPattern.exec(source)
    if (!match) {
      const line = source.slice(0, index).split('\n').length
      throw new UnsupportedForm(
        `The grammar has a syntax error in line ${line}, at ${JSON.stringify(source.slice(index, index + 20))}.`,
      )
    }
    index = tokenPattern.lastIndex
    const groups: Groups = match.groups ?? {}
    if (Object.values(groups).some((each) => each !== undefined)) tokens.push(groups)
  }
  return tokens
}

function readRules(source: string): GrammarRules {
  const tokens = tokenize(source)
  let index = 0
  /** The names of the rules as they are written: not all names are valid in all engines. */
  const names = new Map<string, string>([['root', 'root']])
  const rename = (name: string) => {
    const known = names.get(name) ?? `rule${names.size}`
    names.set(name, known)
    return known
  }
  const peek = () => tokens[index]

  function parseChoice(): GrammarNode {
    const items = [parseSequence()]
    while (peek()?.sign === '|') {
      index += 1
      items.push(parseSequence())
    }
    return choice(items)
  }

  function parseSequence(): GrammarNode {
    const items: GrammarNode[] = []
    for (let token = peek(); token && token.define === undefined; token = peek()) {
      if (token.sign === '|' || token.sign === ')') break
      index += 1
      let item = parseItem(token)
      for (let count = peek(); count?.count !== undefined; count = peek()) {
        index += 1
        item = repeat(item, ...readCount(count))
      }
      items.push(item)
    }
    return sequence(...items)
  }

  function parseItem(token: Groups): GrammarNode {
    if (token.name !== undefined) return rule(rename(token.name))
    if (token.text !== undefined)
      return literal(
        readCharacters(token.text.slice(1, -1))
          .map(({ code }) => String.fromCodePoint(code))
          .join(''),
      )
    if (token.set !== undefined) return set(readSet(token.set.slice(1, -1)))
    if (token.sign === '.') return set(invertRanges([]))
    if (token.sign === '(') {
      const inner = parseChoice()
      if (peek()?.sign !== ')') throw new UnsupportedForm('The grammar has a "(" without its ")".')
      index += 1
      return inner
    }
    throw new UnsupportedForm(
      `The grammar has ${JSON.stringify(token.count ?? token.sign)} without a part before it.`,
    )
  }

  const rules = new Map<string, GrammarNode>()
  while (index < tokens.length) {
    const { name, define } = tokens[index]!
    if (name === undefined || define === undefined)
      throw new UnsupportedForm('A rule of the grammar must have the form: name ::= parts.')
    index += 1
    rules.set(rename(name), parseChoice())
    if (peek()?.sign === ')') throw new UnsupportedForm('The grammar has a ")" without its "(".')
  }
  for (const [name, written] of names)
    if (!rules.has(written) && name !== 'root')
      throw new UnsupportedForm(`The grammar has no rule ${JSON.stringify(name)}.`)
  return rules
}

function readCount({ count, min = '', comma, max = '' }: Groups): readonly [min: number, max: number] {
  if (count === '*') return [0, Infinity]
  if (count === '+') return [1, Infinity]
  if (count === '?') return [0, 1]
  const least = Number(min)
  const most = comma === undefined ? least : max === '' ? Infinity : Number(max)
  if (least <= maxRepeats && (most <= maxRepeats || most === Infinity) && least <= most) return [least, most]
  throw new UnsupportedForm(`The grammar repeats a part ${String(count)} times. The limit is ${maxRepeats}.`)
}

interface Character {
  readonly code: number
  readonly isEscaped: boolean
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
const characterPattern = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([^\\])/gsu

function readCharacters(source: string): readonly Character[] {
  return Array.from(source.matchAll(characterPattern), ([, x, u, U, escaped, plain]) => {
    if (plain !== undefined) return { code: plain.codePointAt(0)!, isEscaped: false }
    const digits = x ?? u ?? U
    const code =
      digits === undefined ? (escapes[escaped!] ?? escaped!).codePointAt(0)! : Number.parseInt(digits, 16)
    if (code <= 0x10ffff) return { code, isEscaped: true }
    throw new UnsupportedForm('The grammar has an escape that is not a character.')
  })
}

function readSet(source: string): Ranges {
  const isInverted = source.startsWith('^')
  const characters = readCharacters(isInverted ? source.slice(1) : source)
  const ranges: [number, number][] = []
  for (let index = 0; index < characters.length; index += 1) {
    const first = characters[index]!.code
    const dash = characters[index + 1]
    const last = characters[index + 2]
    if (dash?.code !== 0x2d || dash.isEscaped || !last) {
      ranges.push([first, first])
      continue
    }
    if (last.code < first)
      throw new UnsupportedForm('The grammar has a range of characters in the wrong order.')
    ranges.push([first, last.code])
    index += 2
  }
  return isInverted ? invertRanges(ranges) : invertRanges(invertRanges(joinRanges(ranges)))
}

/** A rule that starts with itself would never end. */
function refuseLeftRecursion(rules: ReadonlyMap<string, GrammarNode>): void {
  const empty = new Set<string>()
  const canBeEmpty = (node: GrammarNode): boolean => {
    switch (node.kind) {
      case 'literal':
        return node.text === ''
      case 'set':
        return false
      case 'sequence':
        return node.items.every(canBeEmpty)
      case 'choice':
        return node.items.some(canBeEmpty)
      case 'repeat':
        return node.min === 0 || canBeEmpty(node.item)
      case 'rule':
        return empty.has(node.name)
    }
  }
  for (let count = -1; count < empty.size;) {
    count = empty.size
    for (const [name, node] of rules) if (canBeEmpty(node)) empty.add(name)
  }
  const listFirst = (node: GrammarNode): readonly string[] => {
    switch (node.kind) {
      case 'rule':
        return [node.name]
      case 'choice':
        return node.items.flatMap(listFirst)
      case 'repeat':
        return listFirst(node.item)
      case 'sequence': {
        const end = node.items.findIndex((item) => !canBeEmpty(item))
        return node.items.slice(0, end === -1 ? undefined : end + 1).flatMap(listFirst)
      }
      default:
        return []
    }
  }
  const done = new Set<string>()
  const visit = (name: string, path: ReadonlySet<string>): void => {
    if (path.has(name))
      throw new UnsupportedForm('A rule of the grammar starts with itself (left recursion).')
    if (done.has(name)) return
    const node = rules.get(name)
    if (node) for (const first of new Set(listFirst(node))) visit(first, new Set([...path, name]))
    done.add(name)
  }
  for (const name of rules.keys()) visit(name, new Set())
}
