import { GrammarBuilder, matches, refer, type Alternative, type Grammar } from './grammar.js'

/** What must follow at a place in a text: the rest of an alternative, and then the rest of the rules around it. */
interface Place {
  readonly rest: Alternative
  readonly position: number
  readonly outer: Place | undefined
}

/** The largest number of places that a text can lead to. Grammars that llama.cpp can hold have a few. */
const maxPlaces = 10_000

/**
 * Returns the grammar of what can follow a text. llama.cpp starts each grammar at the first token of the answer, so an answer
 * that continues needs the grammar from its middle: the state of llama.cpp's own stacks (llama-grammar.cpp,
 * `llama_grammar_accept`), written as rules.
 * @returns undefined if the grammar does not fit the text
 */
export function continueGrammar(grammar: Grammar, text: string): Grammar | undefined {
  if (text === '') return grammar
  const walk = createWalk(grammar)
  let places = walk.start()
  for (const character of text) {
    places = walk.step(places, character.codePointAt(0)!)
    if (places.length === 0 || places.length > maxPlaces) return undefined
  }
  return writePlaces(grammar, places)
}

/** True if a text is complete in a grammar. */
export function fitsGrammar(grammar: Grammar, text: string): boolean {
  const rest = continueGrammar(grammar, text)
  return rest !== undefined && createWalk(rest).start().includes(undefined)
}

function createWalk({ rules, root }: Grammar) {
  const known = new Map<Alternative, Map<Place | undefined, Place[]>>()

  /** Returns the same object for the same place, so that places can be compared. */
  function place(rest: Alternative, position: number, outer: Place | undefined): Place | undefined {
    // A place at an end is the place around it: then a rule that ends with itself adds nothing.
    if (position === rest.length) return outer
    const byOuter = known.get(rest) ?? new Map<Place | undefined, Place[]>()
    known.set(rest, byOuter)
    const positions = byOuter.get(outer) ?? []
    byOuter.set(outer, positions)
    return (positions[position] ??= { rest, position, outer })
  }

  /** Replaces places before a rule by the starts of the rule, until all are before a character or at the end. */
  function open(places: readonly (Place | undefined)[]): readonly (Place | undefined)[] {
    const seen = new Set(places)
    // A set iterates also over what is added meanwhile.
    for (const each of seen) {
      const element = each?.rest[each.position]
      if (!each || element?.kind !== 'rule') continue
      const after = place(each.rest, each.position + 1, each.outer)
      for (const alternative of rules[element.index]!) seen.add(place(alternative, 0, after))
    }
    return [...seen].filter((each) => !each || each.rest[each.position]!.kind === 'character')
  }

  return {
    start: () => open([place([refer(root)], 0, undefined)]),
    step(places: readonly (Place | undefined)[], code: number) {
      const next = places.flatMap((each) => {
        const element = each?.rest[each.position]
        const isMatch = each && element?.kind === 'character' && matches(element, code)
        return isMatch ? [place(each.rest, each.position + 1, each.outer)] : []
      })
      return open(next)
    },
  }
}

/** Writes places as a grammar. Places share the rules of what is around them. */
function writePlaces(grammar: Grammar, places: readonly (Place | undefined)[]): Grammar {
  const builder = new GrammarBuilder()
  // Keeps the indices of the rules.
  builder.include(grammar)
  const indices = new Map<Place, number>()

  const write = (each: Place | undefined): Alternative => {
    // Not recursive: the rules around a place can be thousands.
    const chain: Place[] = []
    for (let outer = each; outer && !indices.has(outer); outer = outer.outer) chain.push(outer)
    for (const inner of chain.toReversed()) {
      const rest = inner.outer ? [refer(indices.get(inner.outer)!)] : []
      indices.set(inner, builder.add([[...inner.rest.slice(inner.position), ...rest]]))
    }
    return each ? [refer(indices.get(each)!)] : []
  }

  return builder.build(builder.add(places.map(write)))
}
