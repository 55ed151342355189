import { describe, expect, it } from 'vitest'
import { calculate } from './calculate.js'

describe('the calculator', () => {
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['-2^2', -4],
    ['2^3^2', 512],
    ['2**-1', 0.5],
    ['0.1 + 0.2', 0.3],
    ['10 - 4 - 3', 3],
    ['7 % 4 × 2 ÷ 3', 2],
    ['.5 + 1e3', 1000.5],
    ['SQRT(16) + max(1, 2, 3) - ln(e)', 6],
    ['round(pi * 100) / 100', 3.14],
    ['--5', 5],
  ])('computes %s', (expression, value) => {
    expect(calculate(expression)).toBe(value)
  })

  it.each([
    ['', 'empty'],
    ['1 +', 'A number is missing at the end'],
    ['(1 + 2', '")" is missing at the end'],
    ['1 2', '"2" is not expected there'],
    ['2 * * 3', '"*"'],
    ['1 / 0', 'division by zero'],
    ['5 % 0', 'division by zero'],
    ['9^9^9', 'not a finite number'],
    ['sqrt(-1)', 'not a finite number'],
    ['alert(1)', 'no function or constant "alert"'],
    ['constructor', 'no function or constant "constructor"'],
    ['1; 2', '";" is not part'],
    ['this["a"]', '"["'],
    ['sin', '"(" is missing'],
    ['('.repeat(500), 'longer than 200'],
    ['('.repeat(200), 'A number is missing'],
  ])('refuses %s', (expression, reason) => {
    expect(() => calculate(expression)).toThrow(reason)
  })
})
