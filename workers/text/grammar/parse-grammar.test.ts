import { describe, expect, test } from 'vitest'
import { writeGrammar } from './grammar-node.js'
import { parseGrammar } from './parse-grammar.js'

test('a grammar is written with plain names, escapes and counts', () => {
  const source = `
# A list of names.
root ::= (item-1 ", ")* item-1
item-1 ::= [^a-z"\\n] ("\\"" | "\\x41\\u00e9")
  | last{2,} [a-] .?
last ::= "x"{,3}`
  expect(writeGrammar(parseGrammar(source))).toMatchInlineSnapshot(`
    "root ::= (rule1 ", ")* rule1
    rule1 ::= [\\u0000-\\u0009\\u000b-\\u0021\\u0023-\\u0060\\u007b-\\ud7ff\\ue000-\\U0010ffff] ("\\"" | "A\\u00e9") | rule2{2,} [\\u002da] [\\u0000-\\ud7ff\\ue000-\\U0010ffff]?
    rule2 ::= ("x"){0,3}
    "
  `)
})

describe('a grammar is refused', () => {
  test.each([
    ['without root', 'item ::= "a"', 'no rule "root"'],
    ['with a missing rule', 'root ::= item', 'no rule "item"'],
    ['with a syntax error', 'root ::= "a"\nroot2 = "b"', 'line 2'],
    ['with an open group', 'root ::= ("a"', 'without its ")"'],
    ['with a closed group', 'root ::= "a")', 'without its "("'],
    ['with a count only', 'root ::= * "a"', 'without a part'],
    ['with left recursion', 'root ::= "a"? root "b" | "c"', 'left recursion'],
    ['without a finite text', 'root ::= "a" root', 'No finite text'],
    ['with too many repeats', 'root ::= "a"{1,100000}', 'limit is 10000'],
    ['with a reversed range', 'root ::= [z-a]', 'wrong order'],
    ['with an escape beyond Unicode', 'root ::= "\\U00110000"', 'not a character'],
  ])('%s', (_, source, reason) => {
    expect(() => parseGrammar(source)).toThrow(reason)
  })
})
