/** A code point, or a range of them: first and last. */
export type CharRange = readonly [first: number, last: number]

/** A place in a rule: one character, or another rule. */
export type GrammarElement =
  | { readonly kind: 'character'; readonly ranges: readonly CharRange[]; readonly isNegated: boolean }
  | { readonly kind: 'rule'; readonly index: number }

/** Elements that follow each other. Empty if the rule fits the empty text. */
export type Alternative = readonly GrammarElement[]

/** The alternatives of a rule. */
export type GrammarRule = readonly Alternative[]

/** A context-free grammar, as llama.cpp computes with it: only rules, alternatives and characters. */
export interface Grammar {
  readonly rules: readonly GrammarRule[]
  /** The index of the rule for the whole text. */
  readonly root: number
}

/** Collects the rules of a grammar. */
export class GrammarBuilder {
  readonly #rules: GrammarRule[] = []

  /** Adds a rule. A rule that refers to itself is reserved first, and then set. @returns the rule's index */
  add(alternatives: GrammarRule = []): number {
    return this.#rules.push(alternatives) - 1
  }

  set(index: number, alternatives: GrammarRule): void {
    this.#rules[index] = alternatives
  }

  /** Adds the rules of another grammar. @returns an element for its root */
  include({ rules, root }: Grammar): GrammarElement {
    const offset = this.#rules.length
    const move = (element: GrammarElement): GrammarElement =>
      element.kind === 'rule' ? refer(element.index + offset) : element
    for (const rule of rules) this.add(rule.map((alternative) => alternative.map(move)))
    return refer(root + offset)
  }

  build(root: number): Grammar {
    return { rules: this.#rules, root }
  }
}

export function refer(index: number): GrammarElement {
  return { kind: 'rule', index }
}

export function oneOf(ranges: readonly CharRange[], isNegated = false): GrammarElement {
  return { kind: 'character', ranges, isNegated }
}

/** Any character. */
export const anyCharacter = oneOf([], true)

/** The characters of a text, one after the other. */
export function spell(text: string): Alternative {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0)!
    return oneOf([[code, code]])
  })
}

export function matches(
  { ranges, isNegated }: GrammarElement & { kind: 'character' },
  code: number,
): boolean {
  return ranges.some(([first, last]) => first <= code && code <= last) !== isNegated
}
