import { choice, repeat, sequence, type GrammarNode } from './grammar-node.js'

/** The smallest and the largest length of the texts of a node without rules, in characters. */
function measureLength(node: GrammarNode): { readonly min: number; readonly max: number } {
  switch (node.kind) {
    case 'literal': {
      const length = Array.from(node.text).length
      return { min: length, max: length }
    }
    case 'set':
    case 'rule':
      return { min: 1, max: 1 }
    case 'sequence':
      return node.items
        .map(measureLength)
        .reduce((sum, each) => ({ min: sum.min + each.min, max: sum.max + each.max }), { min: 0, max: 0 })
    case 'choice': {
      const lengths = node.items.map(measureLength)
      return {
        min: Math.min(...lengths.map(({ min }) => min)),
        max: Math.max(...lengths.map(({ max }) => max)),
      }
    }
    case 'repeat': {
      const { min, max } = measureLength(node.item)
      return { min: min * node.min, max: max === 0 || node.max === 0 ? 0 : max * node.max }
    }
  }
}

/**
 * Restricts a node without rules to texts of `min` to `max` characters, by restricting its repeats. The result fits texts of
 * these lengths only, but not always all of them.
 * @returns undefined if no way was found
 */
export function boundLength(node: GrammarNode, min: number, max: number): GrammarNode | undefined {
  const shorter = measureLength(node).max <= max ? node : shorten(node, max)
  if (!shorter) return undefined
  return measureLength(shorter).min >= min ? shorter : lengthen(shorter, min)
}

function shorten(node: GrammarNode, max: number): GrammarNode | undefined {
  const length = measureLength(node)
  if (length.max <= max) return node
  if (length.min > max) return undefined
  switch (node.kind) {
    case 'sequence': {
      const lengths = node.items.map(measureLength)
      const flexible = lengths.filter((each) => each.max > each.min)
      const share = Math.floor((max - length.min) / flexible.length)
      // Parts that need less than an equal share leave the rest to the others.
      const modest = flexible.filter((each) => each.max - each.min <= share)
      const left = max - length.min - modest.reduce((sum, each) => sum + each.max - each.min, 0)
      const larger = Math.floor(left / Math.max(1, flexible.length - modest.length))
      let remainder = left - larger * (flexible.length - modest.length)
      return sequence(
        ...node.items.map((item, index) => {
          const each = lengths[index]!
          if (each.max - each.min <= share) return item
          const extra = remainder
          remainder = 0
          return shorten(item, each.min + larger + extra)!
        }),
      )
    }
    case 'choice': {
      const items = node.items.flatMap((item) => shorten(item, max) ?? [])
      return choice(items)
    }
    case 'repeat': {
      const item = measureLength(node.item)
      if (item.min === item.max) return repeat(node.item, node.min, Math.floor(max / item.max))
      const times = Math.max(1, node.min)
      const each = Math.max(item.min, Math.floor(max / times / (node.max > times ? 4 : 1)))
      if (each * times > max) return repeat(node.item, 0, 0)
      const shorter = shorten(node.item, each)!
      const largest = measureLength(shorter).max
      return repeat(shorter, node.min, Math.min(node.max, Math.floor(max / largest)))
    }
    default:
      return undefined
  }
}

/** Raises the lower limit of one repeat. */
function lengthen(node: GrammarNode, min: number): GrammarNode | undefined {
  const length = measureLength(node)
  if (length.max < min) return undefined
  if (length.min >= min) return node
  switch (node.kind) {
    case 'choice': {
      const items = node.items.flatMap((item) => lengthen(item, min) ?? [])
      return items.length === 0 ? undefined : choice(items)
    }
    case 'sequence': {
      let missing = min - length.min
      const items = node.items.map((item) => {
        const each = measureLength(item)
        const added = Math.min(missing, each.max - each.min)
        const longer = added > 0 ? lengthen(item, each.min + added) : undefined
        if (longer) missing -= measureLength(longer).min - each.min
        return longer ?? item
      })
      return missing > 0 ? undefined : sequence(...items)
    }
    case 'repeat': {
      const item = measureLength(node.item)
      if (item.min === 0) return undefined
      const times = Math.ceil(min / item.min)
      return times <= node.max ? repeat(node.item, times, node.max) : undefined
    }
    default:
      return undefined
  }
}
