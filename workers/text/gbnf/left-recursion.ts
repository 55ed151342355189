import type { Grammar, GrammarRule } from './grammar.js'

/** True if a rule can start with itself, also through rules that fit the empty text. */
export function isLeftRecursive({ rules }: Grammar): boolean {
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
