/** A part of a grammar: what a text can contain at a place. */
export type GrammarNode =
  | { readonly kind: 'literal'; readonly text: string }
  /** One character of these code points. */
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'sequence'; readonly items: readonly GrammarNode[] }
  /** Without alternatives, no text fits. */
  | { readonly kind: 'choice'; readonly items: readonly GrammarNode[] }
  | { readonly kind: 'repeat'; readonly item: GrammarNode; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }

/** Code points: pairs of first and last, in ascending order, that neither overlap nor touch. */
export type Ranges = readonly (readonly [first: number, last: number])[]

export const lastCodePoint = 0x10ffff

export const literal = (text: string): GrammarNode => ({ kind: 'literal', text })
export const set = (ranges: Ranges): GrammarNode => ({ kind: 'set', ranges })
export const rule = (name: string): GrammarNode => ({ kind: 'rule', name })
export const optional = (item: GrammarNode): GrammarNode => repeat(item, 0, 1)
export const nothing: GrammarNode = { kind: 'sequence', items: [] }
export const impossible: GrammarNode = { kind: 'choice', items: [] }

export function sequence(...items: readonly GrammarNode[]): GrammarNode {
  return items.length === 1 ? items[0]! : { kind: 'sequence', items }
}

export function choice(items: readonly GrammarNode[]): GrammarNode {
  return items.length === 1 ? items[0]! : { kind: 'choice', items }
}

export function repeat(item: GrammarNode, min: number, max: number = Infinity): GrammarNode {
  if (max < min) return impossible
  return min === 1 && max === 1 ? item : { kind: 'repeat', item, min, max }
}

/** Sorts and joins ranges. */
export function joinRanges(ranges: Ranges): Ranges {
  const joined: [number, number][] = []
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const previous = joined.at(-1)
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last)
    else joined.push([first, last])
  }
  return joined
}

/** Returns the code points that are not in `ranges`, without surrogates, which UTF-8 cannot contain. */
export function invertRanges(ranges: Ranges): Ranges {
  const inverted: [number, number][] = []
  let next = 0
  for (const [first, last] of [...joinRanges([...ranges, surrogates]), [lastCodePoint + 1, 0] as const]) {
    if (first > next) inverted.push([next, first - 1])
    next = last + 1
  }
  return inverted
}

const surrogates = [0xd800, 0xdfff] as const

export function intersectRanges(a: Ranges, b: Ranges): Ranges {
  return invertRanges([...invertRanges(a), ...invertRanges(b)])
}

/** The rules of a grammar by name, with `root`. */
export type GrammarRules = ReadonlyMap<string, GrammarNode>

/**
 * Removes everything that no finite text fits: alternatives, optional parts, rules.
 * @returns undefined if no text fits at all
 */
export function pruneGrammar(rules: GrammarRules): GrammarRules | undefined {
  const productive = new Set<string>()
  const isProductive = (node: GrammarNode): boolean => {
    switch (node.kind) {
      case 'literal':
        return true
      case 'set':
        return node.ranges.length > 0
      case 'sequence':
        return node.items.every(isProductive)
      case 'choice':
        return node.items.some(isProductive)
      case 'repeat':
        return node.min === 0 || isProductive(node.item)
      case 'rule':
        return productive.has(node.name)
    }
  }
  for (let count = -1; count < productive.size;) {
    count = productive.size
    for (const [name, node] of rules) if (isProductive(node)) productive.add(name)
  }
  if (!productive.has('root')) return undefined
  const prune = (node: GrammarNode): GrammarNode => {
    if (node.kind === 'choice') return choice(node.items.filter(isProductive).map(prune))
    if (node.kind === 'sequence') return sequence(...node.items.map(prune))
    if (node.kind !== 'repeat') return node
    return isProductive(node.item) ? { ...node, item: prune(node.item) } : nothing
  }
  const pruned = new Map<string, GrammarNode>()
  const visit = (name: string): void => {
    if (pruned.has(name)) return
    const node = prune(rules.get(name)!)
    pruned.set(name, node)
    for (const used of listRules(node)) visit(used)
  }
  visit('root')
  return pruned
}

function listRules(node: GrammarNode): readonly string[] {
  if (node.kind === 'rule') return [node.name]
  if (node.kind === 'repeat') return listRules(node.item)
  return 'items' in node ? node.items.flatMap(listRules) : []
}

/** Engines do not write out repeats of one set beyond this number. */
const writtenRepeats = 128

/** Measures a grammar with its repeats written out: what an engine has to prepare. */
export function measureGrammar(rules: GrammarRules): number {
  const measure = (node: GrammarNode): number => {
    switch (node.kind) {
      case 'literal':
        return node.text.length
      case 'set':
      case 'rule':
        return 1
      case 'sequence':
      case 'choice':
        return node.items.reduce((sum, item) => sum + measure(item), 1)
      case 'repeat': {
        const count = node.max === Infinity ? node.min + 1 : node.max
        return measure(node.item) * (node.item.kind === 'set' ? Math.min(count, writtenRepeats) : count)
      }
    }
  }
  return Array.from(rules.values(), measure).reduce((sum, size) => sum + size, 0)
}

/** Writes a grammar in GBNF, which is llama.cpp's form of EBNF. Every rule must fit some text. */
export function writeGrammar(rules: GrammarRules): string {
  return Array.from(rules, ([name, node]) => `${name} ::= ${writeNode(node)}\n`).join('')
}

function writeNode(node: GrammarNode): string {
  switch (node.kind) {
    case 'literal':
      return `"${Array.from(node.text, escapeCharacter).join('')}"`
    case 'set':
      return `[${node.ranges.map(writeRange).join('')}]`
    case 'sequence':
      return node.items.length === 0 ? '""' : node.items.map(writePart).join(' ')
    case 'choice':
      return node.items.map(writePart).join(' | ')
    case 'repeat':
      return `${writeRepeated(node.item)}${writeCount(node.min, node.max)}`
    case 'rule':
      return node.name
  }
}

function writePart(node: GrammarNode): string {
  return node.kind === 'choice' ? `(${writeNode(node)})` : writeNode(node)
}

function writeRepeated(node: GrammarNode): string {
  return node.kind === 'set' || node.kind === 'rule' ? writeNode(node) : `(${writeNode(node)})`
}

function writeCount(min: number, max: number): string {
  if (max === Infinity) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`
  return min === 0 && max === 1 ? '?' : min === max ? `{${min}}` : `{${min},${max}}`
}

function writeRange([first, last]: readonly [number, number]): string {
  const from = escapeCode(first)
  return first === last ? from : `${from}-${escapeCode(last)}`
}

function escapeCharacter(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  return /[ -~]/.test(character) ? character : escapeCode(character.codePointAt(0)!)
}

/**
 * Writes letters and digits as they are, and everything else as an escape, which has no other meaning in a set. Not `\x`,
 * whose digits XGrammar and llama.cpp count differently.
 */
function escapeCode(code: number): string {
  const character = String.fromCodePoint(code)
  if (/[A-Za-z0-9]/.test(character)) return character
  return code <= 0xffff
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\U${code.toString(16).padStart(8, '0')}`
}
