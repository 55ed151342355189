/** What a model can write in one call. It also limits the depth of the brackets, and with it the recursion. */
const maxLength = 200

/**
 * Computes an arithmetic expression: `+ - * / % ^`, brackets, `sqrt(2)` and other functions, `pi` and `e`.
 * @throws Error with a sentence for the model
 */
export function calculate(expression: string): number {
  if (expression.length > maxLength) throw new Error(`The expression is longer than ${maxLength} characters.`)
  const tokens = readTokens(expression)
  let at = 0

  const take = (...expected: readonly string[]): string | undefined =>
    expected.includes(tokens[at] ?? '') ? tokens[at++] : undefined

  function demand(mark: string): void {
    if (take(mark) === undefined) throw new Error(`"${mark}" is missing ${describePlace()}.`)
  }

  const describePlace = () => (at < tokens.length ? `before "${tokens[at]}"` : 'at the end')

  function readSum(): number {
    let sum = readProduct()
    for (let sign = take('+', '-'); sign; sign = take('+', '-')) {
      const right = readProduct()
      sum = sign === '+' ? sum + right : sum - right
    }
    return sum
  }

  function readProduct(): number {
    let product = readSigned()
    for (let sign = take('*', '/', '%'); sign; sign = take('*', '/', '%')) {
      const right = readSigned()
      if (sign === '*') product *= right
      else if (right === 0) throw new Error('A division by zero has no result.')
      else product = sign === '/' ? product / right : product % right
    }
    return product
  }

  function readSigned(): number {
    if (take('-')) return -readSigned()
    return take('+') ? readSigned() : readPower()
  }

  /** `-2^2` is -4, and `2^3^2` is 2^9, as in mathematics. */
  function readPower(): number {
    const base = readAtom()
    return take('^') ? base ** readSigned() : base
  }

  function readAtom(): number {
    if (take('(')) {
      const value = readSum()
      demand(')')
      return value
    }
    const token = tokens[at]
    if (token === undefined || /^[^\w.]/.test(token))
      throw new Error(`A number is missing ${describePlace()}.`)
    at += 1
    if (/^[\d.]/.test(token)) return Number(token)
    const constant = constants.get(token)
    if (constant !== undefined) return constant
    const compute = functions.get(token)
    if (!compute) throw new Error(`There is no function or constant "${token}".`)
    demand('(')
    const values = [readSum()]
    while (take(',')) values.push(readSum())
    demand(')')
    return compute(...values)
  }

  const value = readSum()
  if (at < tokens.length) throw new Error(`"${tokens[at]}" is not expected there.`)
  if (!Number.isFinite(value)) throw new Error('The result is not a finite number.')
  // Without the last digits of binary fractions: 0.1 + 0.2 is 0.3.
  return Number(value.toPrecision(12))
}

const constants: ReadonlyMap<string, number> = new Map([
  ['pi', Math.PI],
  ['e', Math.E],
])

const functions: ReadonlyMap<string, (...values: number[]) => number> = new Map([
  ['sqrt', Math.sqrt],
  ['abs', Math.abs],
  ['round', Math.round],
  ['floor', Math.floor],
  ['ceil', Math.ceil],
  ['min', Math.min],
  ['max', Math.max],
  ['sin', Math.sin],
  ['cos', Math.cos],
  ['tan', Math.tan],
  ['ln', Math.log],
  ['log', Math.log10],
  ['exp', Math.exp],
])

const tokenPattern = /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+|[a-z]+|[-+*/%^(),])|(\S))/giy

function readTokens(expression: string): readonly string[] {
  const plain = expression
    .replaceAll('**', '^')
    .replaceAll('×', '*')
    .replaceAll('÷', '/')
    .replaceAll('−', '-')
    .trim()
  if (plain === '') throw new Error('The expression is empty.')
  return [...plain.matchAll(tokenPattern)].map(([, token, unknown]) => {
    if (unknown !== undefined) throw new Error(`"${unknown}" is not part of an expression.`)
    return token!.toLowerCase()
  })
}
