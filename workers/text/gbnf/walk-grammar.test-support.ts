import { continueGrammar, fitsGrammar } from './continue-grammar.js'
import { matches, type Alternative, type Grammar } from './grammar.js'

/** Returns numbers from 0 to 1 that depend only on the seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The characters that sets are tried with. */
const characters = Array.from('a"0}] ,x-.é🐉\n', (each) => each.codePointAt(0)!)

/**
 * Writes a random text of a grammar, as a model without preferences would.
 * @returns undefined if the text gets longer than `maxLength` characters
 */
export function writeRandomText(
  { rules, root }: Grammar,
  random: () => number,
  maxLength = 2000,
): string | undefined {
  let text = ''
  /** What must follow, the next element last. */
  const left: Alternative[number][] = [{ kind: 'rule', index: root }]
  for (let steps = 0; left.length > 0; steps += 1) {
    if (text.length > maxLength || left.length > 10_000 || steps > 100_000) return undefined
    const element = left.pop()!
    if (element.kind === 'rule') {
      const alternatives = rules[element.index]!
      // Later, shorter alternatives are likelier, so that texts end.
      const sorted = alternatives.toSorted((a, b) => a.length - b.length)
      const choice = text.length > maxLength / 4 ? random() ** 3 : random()
      left.push(...sorted[Math.floor(choice * sorted.length)]!.toReversed())
      continue
    }
    const [range] = element.ranges
    const fitting = characters.filter((code) => matches(element, code))
    const code = fitting[Math.floor(random() * fitting.length)] ?? range?.[0] ?? 0x78
    text += String.fromCodePoint(code)
  }
  return text
}

/** True if the rests of a text, from up to 20 places, fit the grammar that is continued from before them. */
export function fitsFromEverywhere(grammar: Grammar, text: string): boolean {
  const letters = Array.from(text)
  const stride = Math.ceil(letters.length / 20)
  return letters.every((_, index) => {
    if (index % stride !== 0) return true
    const rest = continueGrammar(grammar, letters.slice(0, index).join(''))
    return rest !== undefined && fitsGrammar(rest, letters.slice(index).join(''))
  })
}
