import type { CallArguments, Expression, FilterCall } from './syntax.js'
import { Text } from './text.js'
import { describe, type TokenReader } from './token-reader.js'

interface TupleSettings {
  /** False if `if` after an expression belongs to the statement. */
  readonly hasConditions?: boolean
  /** A name that ends the tuple. */
  readonly end?: string
}

const comparisons = ['==', '!=', '<', '<=', '>', '>='] as const
const noArguments: CallArguments = { positional: [], named: [], spread: undefined, namedSpread: undefined }

const constants: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
])

/** Creates the functions that parse expressions. The order of precedence is that of jinja2's `parser.py`. */
export function createExpressionParser(reader: TokenReader) {
  const { fail, takeOperator, takeName, isOperator, isName, expectOperator, expect } = reader
  const collecting = new Set<Set<string>>()

  function parseExpression(): Expression {
    let value = parseOr()
    while (takeName('if')) {
      const condition = parseOr()
      const otherwise = takeName('else') ? parseExpression() : undefined
      value = { kind: 'choose', condition, value, otherwise }
    }
    return value
  }

  function parseOr(): Expression {
    let left = parseAnd()
    while (takeName('or')) left = { kind: 'or', left, right: parseAnd() }
    return left
  }

  function parseAnd(): Expression {
    let left = parseNot()
    while (takeName('and')) left = { kind: 'and', left, right: parseNot() }
    return left
  }

  function parseNot(): Expression {
    return takeName('not') ? { kind: 'not', operand: parseNot() } : parseComparison()
  }

  function parseComparison(): Expression {
    const first = parseSum()
    const rest: { operator: string; operand: Expression }[] = []
    for (;;) {
      const operator = takeComparison()
      if (operator === undefined) return rest.length === 0 ? first : { kind: 'compare', first, rest }
      rest.push({ operator, operand: parseSum() })
    }
  }

  function takeComparison(): string | undefined {
    if (takeName('in')) return 'in'
    if (isName('not') && reader.isNameAhead('in')) {
      reader.next()
      reader.next()
      return 'not in'
    }
    return comparisons.find((operator) => takeOperator(operator))
  }

  /** Parses operations of the same precedence, from left to right. */
  function parseArithmetic(operators: readonly string[], parseOperand: () => Expression): Expression {
    let left = parseOperand()
    while (isOperator(...operators)) {
      const operator = reader.next().value
      left = { kind: 'arithmetic', operator, left, right: parseOperand() }
    }
    return left
  }

  const parseSum = () => parseArithmetic(['+', '-'], parseConcat)
  const parseProduct = () => parseArithmetic(['*', '/', '//', '%'], parsePower)
  const parsePower = () => parseArithmetic(['**'], () => parseUnary(true))

  function parseConcat(): Expression {
    const parts = [parseProduct()]
    while (takeOperator('~')) parts.push(parseProduct())
    return parts.length === 1 ? parts[0]! : { kind: 'concat', parts }
  }

  function parseUnary(hasFilters: boolean): Expression {
    let value: Expression
    if (takeOperator('-')) value = { kind: 'negate', operand: parseUnary(false) }
    else if (takeOperator('+')) value = { kind: 'plus', operand: parseUnary(false) }
    else value = parsePrimary()
    value = parsePostfix(value)
    return hasFilters ? parseFiltersAndTests(value) : value
  }

  function parsePrimary(): Expression {
    const token = reader.next()
    const { type, value } = token
    if (type === 'name') return parseName(value)
    if (type === 'string') {
      let text = value
      while (reader.current().type === 'string') text += reader.next().value
      return { kind: 'text', value: Text.ofTemplate(text) }
    }
    if (type === 'integer') return { kind: 'constant', value: BigInt(value.replaceAll('_', '')) }
    if (type === 'float') return { kind: 'constant', value: Number(value.replaceAll('_', '')) }
    if (type === 'operator' && value === '(') {
      const tuple = parseTuple({}, true)
      expectOperator(')')
      return tuple
    }
    if (type === 'operator' && value === '[') return { kind: 'list', items: parseItems(']', parseExpression) }
    if (type === 'operator' && value === '{') return { kind: 'dict', entries: parseItems('}', parseEntry) }
    return fail(`unexpected ${describe(token)}`)
  }

  function parseName(name: string): Expression {
    const constant = constants.get(name)
    if (constant !== undefined) return { kind: 'constant', value: constant }
    for (const names of collecting) names.add(name)
    return { kind: 'name', name }
  }

  function parseItems<Item>(end: string, parseItem: () => Item): Item[] {
    const items: Item[] = []
    while (!takeOperator(end)) {
      if (items.length > 0) {
        expectOperator(',')
        if (takeOperator(end)) break
      }
      items.push(parseItem())
    }
    return items
  }

  function parseEntry(): readonly [Expression, Expression] {
    const key = parseExpression()
    expectOperator(':')
    return [key, parseExpression()]
  }

  /** Parses one expression, or a tuple without parentheses. */
  function parseTuple({ hasConditions = true, end }: TupleSettings = {}, canBeEmpty = false): Expression {
    const items: Expression[] = []
    let isTuple = false
    do {
      if (isTupleEnd(end)) break
      items.push(hasConditions ? parseExpression() : parseOr())
      isTuple ||= isOperator(',')
    } while (takeOperator(','))
    if (!isTuple && items.length === 1) return items[0]!
    if (items.length === 0 && !canBeEmpty) {
      fail(`Expected an expression, got ${describe(reader.current())}`)
    }
    return { kind: 'tuple', items }
  }

  function isTupleEnd(end: string | undefined): boolean {
    const { type } = reader.current()
    return type === 'endprint' || type === 'close' || isOperator(')') || (end !== undefined && isName(end))
  }

  function parsePostfix(start: Expression): Expression {
    let value = start
    for (;;) {
      if (takeOperator('.')) value = parseAttribute(value)
      else if (takeOperator('[')) value = { kind: 'item', object: value, index: parseIndex() }
      else if (isOperator('(')) value = { kind: 'call', callee: value, given: parseArguments() }
      else return value
    }
  }

  function parseAttribute(object: Expression): Expression {
    const { type, value } = reader.next()
    if (type === 'name') return { kind: 'attribute', object, name: value }
    if (type === 'integer') return { kind: 'item', object, index: { kind: 'constant', value: BigInt(value) } }
    return fail('expected name or number')
  }

  function parseIndex(): Expression {
    const items: Expression[] = []
    while (!takeOperator(']')) {
      if (items.length > 0) expectOperator(',')
      items.push(parseSubscript())
    }
    return items.length === 1 ? items[0]! : { kind: 'tuple', items }
  }

  function parseSubscript(): Expression {
    const start = isOperator(':') ? undefined : parseExpression()
    if (!takeOperator(':')) return start!
    const stop = isOperator(':', ']', ',') ? undefined : parseExpression()
    const step = takeOperator(':') && !isOperator(']', ',') ? parseExpression() : undefined
    return { kind: 'slice', start, stop, step }
  }

  function parseArguments(): CallArguments {
    const positional: Expression[] = []
    const named: (readonly [string, Expression])[] = []
    let spread: Expression | undefined
    let namedSpread: Expression | undefined
    const ensure = (isValid: boolean) => isValid || fail('invalid syntax for function call expression')
    expectOperator('(')
    let isFirst = true
    while (!takeOperator(')')) {
      if (!isFirst) {
        expectOperator(',')
        if (takeOperator(')')) break
      }
      isFirst = false
      if (takeOperator('*')) {
        ensure(!spread && !namedSpread)
        spread = parseExpression()
      } else if (takeOperator('**')) {
        ensure(!namedSpread)
        namedSpread = parseExpression()
      } else if (reader.current().type === 'name' && reader.isOperatorAhead('=')) {
        ensure(!namedSpread)
        const { value } = reader.next()
        reader.next()
        named.push([value, parseExpression()])
      } else {
        ensure(!spread && !namedSpread && named.length === 0)
        positional.push(parseExpression())
      }
    }
    return { positional, named, spread, namedSpread }
  }

  function parseFiltersAndTests(start: Expression): Expression {
    let value = start
    for (;;) {
      if (takeOperator('|')) value = parseFilter(value)
      else if (takeName('is')) value = parseTest(value)
      else if (isOperator('(')) value = { kind: 'call', callee: value, given: parseArguments() }
      else return value
    }
  }

  function parseDottedName(): string {
    let name = expect('name').value
    while (takeOperator('.')) name += `.${expect('name').value}`
    return name
  }

  /** Parses a filter after its `|`. */
  function parseFilter(operand: Expression | undefined): FilterCall {
    const name = parseDottedName()
    return { kind: 'filter', operand, name, given: isOperator('(') ? parseArguments() : noArguments }
  }

  function parseTest(operand: Expression): Expression {
    const isNegated = takeName('not')
    const name = parseDottedName()
    const test: Expression = { kind: 'test', operand, name, given: parseTestArguments() }
    return isNegated ? { kind: 'not', operand: test } : test
  }

  /** Parses the arguments of a test. One argument needs no parentheses: `x is divisibleby 3`. */
  function parseTestArguments(): CallArguments {
    if (isOperator('(')) return parseArguments()
    const { type } = reader.current()
    const startsValue = ['name', 'string', 'integer', 'float'].includes(type) || isOperator('[', '{')
    if (!startsValue || isName('else', 'or', 'and')) return noArguments
    if (isName('is')) fail('You cannot chain multiple tests with is')
    return { ...noArguments, positional: [parsePostfix(parsePrimary())] }
  }

  return {
    parseExpression,
    parseTuple,
    parseFilter,
    /** Collects the names that are read from now on, until `stop` is called. */
    collectNames() {
      const names = new Set<string>()
      collecting.add(names)
      return { names, stop: () => collecting.delete(names) }
    },
  }
}
