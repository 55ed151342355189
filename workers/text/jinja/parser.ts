import { tokenize } from './lexer.js'
import { createExpressionParser } from './parse-expression.js'
import type { Expression, FilterCall, MacroBody, Statement, Target } from './syntax.js'
import { Text } from './text.js'
import { createTokenReader } from './token-reader.js'

/**
 * Parses a template. The grammar is jinja2's, with the extensions that transformers adds: `break`, `continue` and
 * `generation`. Tags that need other templates (`include`, `extends`, `block`, …) do not exist in a chat template.
 * @throws TemplateError
 */
export function parseTemplate(template: string): readonly Statement[] {
  const reader = createTokenReader(tokenize(template))
  const { fail, takeOperator, takeName, expectOperator, expectName, expect } = reader
  const expressions = createExpressionParser(reader)
  const { parseExpression, parseTuple } = expressions
  let loopDepth = 0

  /** Parses statements up to a tag with one of these names. Without names, parses up to the end of the template. */
  function parseBody(...ends: readonly string[]): Statement[] {
    const body: Statement[] = []
    for (;;) {
      const token = reader.next()
      if (token.type === 'data') body.push({ kind: 'data', value: Text.ofTemplate(token.value) })
      else if (token.type === 'print') {
        body.push({ kind: 'print', value: parseTuple() })
        expect('endprint')
      } else if (token.type === 'open') {
        if (reader.isName(...ends)) return body
        body.push(parseStatement())
        expect('close')
      } else if (ends.length === 0) return body
      else fail(`The template ends before {% ${ends.join(' or ')} %}.`)
    }
  }

  /** Parses the rest of a tag, the body after it, and the name of the tag that ends the body. */
  function parseBlock(...ends: readonly string[]): { readonly body: Statement[]; readonly end: string } {
    takeOperator(':')
    expect('close')
    const body = parseBody(...ends)
    return { body, end: reader.next().value }
  }

  const statements: Readonly<Record<string, () => Statement>> = {
    set: parseSet,
    if: parseIf,
    for: parseFor,
    macro: () => ({ kind: 'macro', macro: parseMacro(expect('name').value, 'endmacro') }),
    call: parseCallBlock,
    filter: parseFilterBlock,
    with: parseWith,
    generation: () => ({ kind: 'scope', body: parseIsolated('endgeneration') }),
    break: () => parseLoopControl('break'),
    continue: () => parseLoopControl('continue'),
  }

  function parseStatement(): Statement {
    const { value } = expect('name')
    const parse = Object.hasOwn(statements, value) ? statements[value] : undefined
    return parse ? parse() : fail(`The tag {% ${value} %} is not supported.`)
  }

  /** Parses a body in which `break` and `continue` do not reach the loop around it. */
  function parseIsolated(end: string): Statement[] {
    const depth = loopDepth
    loopDepth = 0
    const { body } = parseBlock(end)
    loopDepth = depth
    return body
  }

  function parseLoopControl(kind: 'break' | 'continue'): Statement {
    if (loopDepth === 0) fail(`'${kind}' outside loop`)
    return { kind }
  }

  function parseSet(): Statement {
    const target = parseTargets(true)
    if (takeOperator('=')) return { kind: 'set', target, value: parseTuple() }
    const filter = takeOperator('|') ? parseFilters() : undefined
    return { kind: 'set-block', target, filter, body: parseBlock('endset').body }
  }

  /** Parses a chain of filters after its first `|`. */
  function parseFilters(): FilterCall {
    let filter = expressions.parseFilter(undefined)
    while (takeOperator('|')) filter = expressions.parseFilter(filter)
    return filter
  }

  function parseFilterBlock(): Statement {
    return { kind: 'filter-block', filter: parseFilters(), body: parseBlock('endfilter').body }
  }

  function parseIf(): Statement {
    const branches: { test: Expression; body: Statement[] }[] = []
    for (;;) {
      const test = parseTuple({ hasConditions: false })
      const { body, end } = parseBlock('elif', 'else', 'endif')
      branches.push({ test, body })
      if (end === 'elif') continue
      return { kind: 'if', branches, otherwise: end === 'else' ? parseBlock('endif').body : [] }
    }
  }

  function parseFor(): Statement {
    const target = parseTargets(false, 'in')
    expectName('in')
    const iterable = parseTuple({ hasConditions: false, end: 'recursive' })
    const condition = takeName('if') ? parseExpression() : undefined
    const isRecursive = takeName('recursive')
    loopDepth += 1
    const { body, end } = parseBlock('endfor', 'else')
    loopDepth -= 1
    const otherwise = end === 'else' ? parseBlock('endfor').body : []
    return { kind: 'for', target, iterable, condition, isRecursive, body, otherwise }
  }

  function parseSignature(): MacroBody['parameters'] {
    const parameters: { name: string; default: Expression | undefined }[] = []
    expectOperator('(')
    while (!takeOperator(')')) {
      if (parameters.length > 0) expectOperator(',')
      const name = parseTargetName()
      const value = takeOperator('=') ? parseExpression() : undefined
      if (!value && parameters.at(-1)?.default) fail('non-default argument follows default argument')
      parameters.push({ name, default: value })
    }
    return parameters
  }

  function parseMacro(name: string | undefined, end: string, parameters = parseSignature()): MacroBody {
    const usedNames = expressions.collectNames()
    const body = parseIsolated(end)
    usedNames.stop()
    return { name, parameters, body, usedNames: usedNames.names }
  }

  function parseCallBlock(): Statement {
    const parameters = reader.isOperator('(') ? parseSignature() : []
    const call = parseExpression()
    if (call.kind !== 'call') return fail('expected call')
    return { kind: 'call-block', call, caller: parseMacro(undefined, 'endcall', parameters) }
  }

  function parseWith(): Statement {
    const variables: (readonly [Target, Expression])[] = []
    while (reader.current().type !== 'close') {
      if (variables.length > 0) expectOperator(',')
      const target = parseTargets(false)
      expectOperator('=')
      variables.push([target, parseExpression()])
    }
    return { kind: 'with', variables, body: parseBlock('endwith').body }
  }

  function parseTargetName(): string {
    const { value } = expect('name')
    if (reservedNames.has(value)) fail(`can't assign to '${value}'`)
    return value
  }

  /** Parses one target, or several with commas between them. */
  function parseTargets(canBeNamespace: boolean, end?: string): Target {
    const items: Target[] = []
    let isTuple = false
    do {
      const isEnd = reader.isOperator('=', ')') || reader.current().type === 'close'
      if (items.length > 0 && (isEnd || (end !== undefined && reader.isName(end)))) break
      items.push(parseTarget(canBeNamespace))
      isTuple ||= reader.isOperator(',')
    } while (takeOperator(','))
    return isTuple ? { kind: 'tuple', items } : items[0]!
  }

  function parseTarget(canBeNamespace: boolean): Target {
    if (takeOperator('(')) {
      const target = parseTargets(canBeNamespace)
      expectOperator(')')
      return target
    }
    const name = parseTargetName()
    if (!canBeNamespace || !takeOperator('.')) return { kind: 'name', name }
    return { kind: 'namespace', name, attribute: expect('name').value }
  }

  return parseBody()
}

/** The names that jinja2 reserves for its constants. */
const reservedNames: ReadonlySet<string> = new Set(['true', 'false', 'none', 'True', 'False', 'None'])
