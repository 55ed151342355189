import type { GrammarNode, GrammarRules } from '../grammar/grammar-node.js'
import { oneOf, refer, spell, type Alternative, type GrammarBuilder, type GrammarElement } from './grammar.js'

/** Up to this many optional parts get a rule each. llama.cpp then follows one of them, and with more parts, a few at once. */
const maxChain = 64

/** Adds rules to a grammar. @returns an element for the rule `root` */
export function addRules(builder: GrammarBuilder, rules: GrammarRules): GrammarElement {
  const indices = new Map(Array.from(rules.keys(), (name) => [name, builder.add()]))

  function write(node: GrammarNode): Alternative {
    switch (node.kind) {
      case 'literal':
        return spell(node.text)
      case 'set':
        return [oneOf(node.ranges)]
      case 'sequence':
        return node.items.flatMap(write)
      case 'choice':
        return [refer(builder.add(node.items.map(write)))]
      case 'repeat':
        return repeat(builder, write(node.item), node.min, node.max)
      case 'rule':
        return [refer(indices.get(node.name)!)]
    }
  }

  for (const [name, node] of rules) {
    builder.set(indices.get(name)!, node.kind === 'choice' ? node.items.map(write) : [write(node)])
  }
  return refer(indices.get('root')!)
}

/** Writes a repetition out. llama.cpp refuses more than 2,000 repetitions of a part, so large ones are halved. */
function repeat(builder: GrammarBuilder, part: Alternative, min: number, max: number): Alternative {
  const item = part.length === 1 ? part : [refer(builder.add([part]))]
  /** By exponent: rules for 1, 2, 4, 8 … items. */
  const powers = [item]
  const repeatPower = (exponent: number): Alternative => {
    const half = exponent > 0 ? repeatPower(exponent - 1) : []
    return (powers[exponent] ??= [refer(builder.add([[...half, ...half]]))])
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
      for (let left = count; left > 0; left -= 1) rest = [refer(builder.add([item.concat(rest), []]))]
      return rest
    }
    // Half of the items or more, or fewer than half.
    const half = Math.ceil(count / 2)
    return [refer(builder.add([[...exactly(half), ...upTo(count - half)], upTo(half - 1)]))]
  }
  if (max !== Infinity) return [...exactly(min), ...upTo(max - min)]
  const rest = builder.add()
  builder.set(rest, [[...item, refer(rest)], []])
  return [...exactly(min), refer(rest)]
}
