import type { Alternative, CharRange, Grammar, GrammarElement } from './grammar.js'

/** Writes a grammar in GBNF, as llama.cpp reads it, with the rule `root`. */
export function writeGbnf({ rules, root }: Grammar): string {
  const used = listUsed({ rules, root })
  const name = (index: number) => (index === root ? 'root' : `r${index}`)
  return used
    .map(
      (index) => `${name(index)} ::= ${rules[index]!.map((each) => writeSequence(each, name)).join(' | ')}\n`,
    )
    .join('')
}

/** Returns the rules that the root can reach. */
function listUsed({ rules, root }: Grammar): readonly number[] {
  const used = new Set([root])
  // A set iterates also over what is added meanwhile.
  for (const index of used) {
    for (const element of rules[index]!.flat()) if (element.kind === 'rule') used.add(element.index)
  }
  return [...used]
}

function writeSequence(elements: Alternative, name: (index: number) => string): string {
  if (elements.length === 0) return '""'
  const parts: string[] = []
  let literal = ''
  for (const element of elements) {
    const code = readSingle(element)
    if (code !== undefined) {
      literal += escape(code)
      continue
    }
    if (literal !== '') parts.push(`"${literal}"`)
    literal = ''
    parts.push(element.kind === 'rule' ? name(element.index) : writeSet(element))
  }
  if (literal !== '') parts.push(`"${literal}"`)
  return parts.join(' ')
}

/** Returns the code point of an element that fits only one. */
function readSingle(element: GrammarElement): number | undefined {
  if (element.kind !== 'character' || element.isNegated) return undefined
  const [range] = element.ranges
  return element.ranges.length === 1 && range![0] === range![1] ? range![0] : undefined
}

function writeSet({ ranges, isNegated }: GrammarElement & { kind: 'character' }): string {
  if (ranges.length === 0 && isNegated) return '.'
  return `[${isNegated ? '^' : ''}${ranges.map(writeRange).join('')}]`
}

function writeRange([first, last]: CharRange): string {
  return first === last ? escape(first) : `${escape(first)}-${escape(last)}`
}

/** Writes letters, digits and spaces as they are, and others as escapes, which have no other meaning in a text or a set. */
function escape(code: number): string {
  const character = String.fromCodePoint(code)
  if (/[A-Za-z0-9 ]/.test(character)) return character
  const hex = code.toString(16)
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}
