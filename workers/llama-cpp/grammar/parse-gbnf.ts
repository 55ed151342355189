import {
  anyCharacter,
  GrammarBuilder,
  oneOf,
  refer,
  spell,
  type Alternative,
  type CharRange,
  type Grammar,
  type GrammarElement,
  type GrammarRule,
} from './grammar.js'

/** A grammar that llama.cpp cannot hold. The message is a sentence about it, without the name of the option. */
export class GrammarError extends Error {}

/** The largest number of rules, after repetitions are written out. */
const maxRules = 20_000
const maxRepetitions = 2 ** 24
/** Up to this many optional parts get a rule each. llama.cpp then follows one of them, and with more parts, a few at once. */
const maxChain = 64
/** How deep parentheses can be nested. */
const maxDepth = 64

/**
 * Parses a grammar in GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 * @throws GrammarError for a syntax error, an unknown rule, a left recursion, and for references to tokens
 */
export function parseGbnf(source: string): Grammar {
  const builder = new GrammarBuilder()
  const indices = new Map<string, number>()
  const defined = new Set<string>()
  let ruleCount = 0
  let at = 0

  function fail(words: string): never {
    const line = source.slice(0, at).split('\n').length
    throw new GrammarError(`Line ${line} of the grammar: ${words}`)
  }

  function addRule(alternatives: GrammarRule = []): number {
    ruleCount += 1
    if (ruleCount > maxRules) throw new GrammarError('The grammar is too large.')
    return builder.add(alternatives)
  }

  function findRule(name: string): number {
    const index = indices.get(name) ?? addRule()
    indices.set(name, index)
    return index
  }

  /** Skips spaces and comments, and line breaks where the rule goes on in any case. */
  function skipSpace(acrossLines: boolean): void {
    const pattern = acrossLines ? /(?:[ \t\r\n]|#[^\n]*)*/y : /(?:[ \t]|#[^\n]*)*/y
    pattern.lastIndex = at
    at += pattern.exec(source)![0].length
  }

  function take(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern.source, 'y')
    sticky.lastIndex = at
    const found = sticky.exec(source)?.[0]
    at += found?.length ?? 0
    return found
  }

  function readCharacter(): number {
    const escape = take(/\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[tnr"[\]\\])/)
    if (escape !== undefined) {
      if (escape.length > 2) return Number.parseInt(escape.slice(2), 16)
      const controls: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r' }
      return (controls[escape[1]!] ?? escape[1]!).codePointAt(0)!
    }
    if (source[at] === '\\') fail('this escape is unknown.')
    const code = source.codePointAt(at)
    if (code === undefined) fail('it ends inside a text or a set.')
    at += code > 0xffff ? 2 : 1
    return code
  }

  function readLiteral(): Alternative {
    at += 1
    let text = ''
    while (source[at] !== '"') text += String.fromCodePoint(readCharacter())
    at += 1
    return spell(text)
  }

  function readSet(): GrammarElement {
    at += 1
    const isNegated = take(/\^/) !== undefined
    const ranges: CharRange[] = []
    while (source[at] !== ']') {
      const first = readCharacter()
      const isRange = source[at] === '-' && source[at + 1] !== ']'
      if (isRange) at += 1
      ranges.push([first, isRange ? readCharacter() : first])
    }
    at += 1
    return oneOf(ranges, isNegated)
  }

  /** Reads one part of a sequence, without its repetition. */
  function readPart(depth: number): Alternative | undefined {
    if (source[at] === '"') return readLiteral()
    if (source[at] === '[') return [readSet()]
    if (take(/\./) !== undefined) return [anyCharacter]
    if (source[at] === '(') {
      if (depth === maxDepth) fail('its parentheses are nested too deep.')
      at += 1
      skipSpace(true)
      const rule = addRule(readAlternatives(depth + 1))
      if (take(/\)/) === undefined) fail('a ")" is missing.')
      return [refer(rule)]
    }
    if (/[<!]/.test(source[at] ?? '')) fail('references to tokens are not supported. Write their text.')
    const name = take(/[A-Za-z0-9_-]+/)
    return name === undefined ? undefined : [refer(findRule(name))]
  }

  function readRepetition(): readonly [min: number, max: number] | undefined {
    const sign = take(/[*+?]/)
    if (sign !== undefined) return [sign === '+' ? 1 : 0, sign === '?' ? 1 : Infinity]
    const counts = take(/\{\s*(?:\d+\s*(?:,\s*\d*\s*)?|,\s*\d+\s*)\}/)
    if (counts === undefined) return undefined
    const [min = '', max = min] = counts
      .slice(1, -1)
      .split(',')
      .map((count) => count.trim())
    const range = [Number(min), max === '' ? Infinity : Number(max)] as const
    if (range[0] > range[1]) fail('a repetition is empty.')
    if (Math.max(...range.filter(Number.isFinite)) > maxRepetitions)
      fail(`a part is repeated more than ${maxRepetitions} times.`)
    return range
  }

  /** Writes a repetition out. llama.cpp refuses more than 2,000 repetitions of a part, so large ones are halved. */
  function repeat(part: Alternative, min: number, max: number): Alternative {
    const item = part.length === 1 ? part : [refer(addRule([part]))]
    /** By exponent: rules for 1, 2, 4, 8 … items. */
    const powers = [item]
    const repeatPower = (exponent: number): Alternative => {
      const half = exponent > 0 ? repeatPower(exponent - 1) : []
      return (powers[exponent] ??= [refer(addRule([[...half, ...half]]))])
    }
    const exactly = (count: number): Alternative => {
      if (count <= maxChain) return Array.from({ length: count }, () => item).flat()
      const exponent = Math.floor(Math.log2(count))
      return [...repeatPower(exponent), ...exactly(count - 2 ** exponent)]
    }
    const known = new Map<number, Alternative>()
    const upTo = (count: number): Alternative => {
      const elements = known.get(count) ?? writeUpTo(count)
      known.set(count, elements)
      return elements
    }
    const writeUpTo = (count: number): Alternative => {
      if (count <= maxChain) {
        let rest: Alternative = []
        for (let left = count; left > 0; left -= 1) rest = [refer(addRule([[...item, ...rest], []]))]
        return rest
      }
      // Half of the items or more, or fewer than half.
      const half = Math.ceil(count / 2)
      return [refer(addRule([[...exactly(half), ...upTo(count - half)], upTo(half - 1)]))]
    }
    if (max !== Infinity) return [...exactly(min), ...upTo(max - min)]
    const rest = addRule()
    builder.set(rest, [[...item, refer(rest)], []])
    return [...exactly(min), refer(rest)]
  }

  function readSequence(depth: number): Alternative {
    const elements: GrammarElement[] = []
    for (;;) {
      const part = readPart(depth)
      if (!part) return elements
      skipSpace(depth > 0)
      const counts = readRepetition()
      if (counts) {
        // A repetition belongs to the whole text or group before it.
        elements.push(...repeat(part, ...counts))
        skipSpace(depth > 0)
      } else elements.push(...part)
    }
  }

  function readAlternatives(depth: number): GrammarRule {
    const alternatives = [readSequence(depth)]
    while (take(/\|/) !== undefined) {
      skipSpace(true)
      alternatives.push(readSequence(depth))
    }
    return alternatives
  }

  skipSpace(true)
  while (at < source.length) {
    const name = take(/[A-Za-z0-9_-]+/) ?? fail('a rule must start with its name.')
    skipSpace(false)
    if (take(/::=/) === undefined) fail(`"::=" is missing after "${name}".`)
    skipSpace(true)
    builder.set(findRule(name), readAlternatives(0))
    defined.add(name)
    skipSpace(false)
    if (at < source.length && take(/\r?\n/) === undefined) fail(`"${source[at]}" is not expected here.`)
    skipSpace(true)
  }
  const missing = [...indices.keys()].find((name) => !defined.has(name))
  if (missing !== undefined) throw new GrammarError(`The grammar has no rule "${missing}".`)
  if (!defined.has('root')) throw new GrammarError('The grammar has no rule "root".')
  const grammar = builder.build(indices.get('root')!)
  if (isLeftRecursive(grammar)) {
    throw new GrammarError('A rule of the grammar starts with itself. llama.cpp cannot hold left recursions.')
  }
  return grammar
}

/** True if a rule can start with itself, also through rules that fit the empty text. */
function isLeftRecursive({ rules }: Grammar): boolean {
  const empty = findEmptyRules(rules)
  const states = new Map<number, 'open' | 'done'>()
  const visit = (start: number): boolean => {
    // Not recursive: a chain of rules can be thousands long.
    const stack = [{ index: start, next: listFirst(rules[start]!, empty) }]
    states.set(start, 'open')
    while (stack.length > 0) {
      const top = stack.at(-1)!
      const child = top.next.pop()
      if (child === undefined) {
        states.set(top.index, 'done')
        stack.pop()
      } else if (states.get(child) === 'open') return true
      else if (!states.has(child)) {
        states.set(child, 'open')
        stack.push({ index: child, next: listFirst(rules[child]!, empty) })
      }
    }
    return false
  }
  return rules.some((_, index) => !states.has(index) && visit(index))
}

/** Returns the rules that a rule can start with. */
function listFirst(rule: GrammarRule, empty: ReadonlySet<number>): number[] {
  return rule.flatMap((alternative) => {
    const first: number[] = []
    for (const element of alternative) {
      if (element.kind !== 'rule') break
      first.push(element.index)
      if (!empty.has(element.index)) break
    }
    return first
  })
}

/** Returns the rules that fit the empty text. */
function findEmptyRules(rules: readonly GrammarRule[]): ReadonlySet<number> {
  const empty = new Set<number>()
  for (let count = -1; count < empty.size;) {
    count = empty.size
    for (const [index, rule] of rules.entries()) {
      const isEmpty = rule.some((alternative) =>
        alternative.every((element) => element.kind === 'rule' && empty.has(element.index)),
      )
      if (isEmpty) empty.add(index)
    }
  }
  return empty
}
