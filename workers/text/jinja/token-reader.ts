import type { Token } from './lexer.js'
import { TemplateError } from './meter.js'

export type TokenReader = ReturnType<typeof createTokenReader>

/** Creates a reader that looks at one token after the other. */
export function createTokenReader(tokens: readonly Token[]) {
  let place = 0

  /** The last token is `end`, which is never passed. */
  const look = (ahead = 0): Token => tokens[Math.min(place + ahead, tokens.length - 1)]!

  function fail(message: string): never {
    throw new TemplateError(`${message} (line ${look().line})`)
  }

  function next(): Token {
    const token = look()
    place += 1
    return token
  }

  const is = (type: Token['type'], values: readonly string[], ahead = 0) =>
    look(ahead).type === type && values.includes(look(ahead).value)

  function take(type: Token['type'], value: string): boolean {
    if (!is(type, [value])) return false
    place += 1
    return true
  }

  function expect(type: Token['type']): Token {
    return look().type === type ? next() : fail(`expected ${type}, got ${describe(look())}`)
  }

  return {
    look,
    current: () => look(),
    next,
    fail,
    expect,
    isOperator: (...values: readonly string[]) => is('operator', values),
    isName: (...values: readonly string[]) => is('name', values),
    isNameAhead: (value: string) => is('name', [value], 1),
    isOperatorAhead: (value: string) => is('operator', [value], 1),
    takeOperator: (value: string) => take('operator', value),
    takeName: (value: string) => take('name', value),
    expectOperator(value: string): void {
      if (!take('operator', value)) fail(`expected ${value}, got ${describe(look())}`)
    },
    expectName(value: string): void {
      if (!take('name', value)) fail(`expected ${value}, got ${describe(look())}`)
    },
  }
}

export function describe({ type, value }: Token): string {
  return value === '' ? type : value
}
