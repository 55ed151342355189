import { findFilter } from './filters.js'
import { createGlobals } from './globals.js'
import { createLoop } from './loop.js'
import { createMacro } from './macro.js'
import { findMember, getAttribute, getItem, getSlice } from './members.js'
import { Meter, TemplateError } from './meter.js'
import { applySign, calculate, compareValues, concatTexts } from './operators.js'
import { toText } from './represent.js'
import type { Runtime } from './runtime.js'
import { Scope } from './scope.js'
import type {
  CallArguments,
  Expression,
  FilterCall,
  ForLoop,
  MacroBody,
  Statement,
  Target,
} from './syntax.js'
import { findTest } from './tests.js'
import { Text } from './text.js'
import {
  Callable,
  Dict,
  List,
  Namespace,
  Structure,
  Undefined,
  isTrue,
  iterate,
  toArray,
  typeName,
  type Arguments,
  type Value,
} from './values.js'

const noNames: ReadonlyMap<string, Value> = new Map()

/** How a list of statements ended: `break` and `continue` end the body of a loop. */
type Ending = 'end' | 'break' | 'continue'

/**
 * Runs a parsed template, as jinja2 does with the settings of transformers: an immutable sandbox.
 * @param variables the variables of the template, in addition to jinja2's globals
 * @returns the text that the template writes
 * @throws TemplateError what jinja2 would raise, and the limits of `Meter`
 */
export function runTemplate(statements: readonly Statement[], variables: ReadonlyMap<string, Value>): Text {
  const meter = new Meter()
  const root = new Scope(undefined, [...createGlobals(meter), ...variables])

  const runtime: Runtime = {
    meter,
    findAttribute: (object, name) => findMember(object, name, meter),
    createGetter,
    callFilter(name, value, given) {
      meter.scan(value instanceof Text ? value.value.length : 0)
      return findFilter(name).call(name, value, given, runtime)
    },
    callTest: (name, value, given) => findTest(name)(value, given, runtime),
  }

  /** Collects the text that `write` writes. */
  function capture(write: (output: Text[]) => void): Text {
    const output: Text[] = []
    write(output)
    meter.grow(output.reduce((sum, { value }) => sum + value.length, 0))
    return Text.join(output)
  }

  function run(body: readonly Statement[], scope: Scope, output: Text[]): Ending {
    for (const statement of body) {
      const ending = runStatement(statement, scope, output)
      if (ending !== 'end') return ending
    }
    return 'end'
  }

  function runStatement(statement: Statement, scope: Scope, output: Text[]): Ending {
    meter.step()
    switch (statement.kind) {
      case 'data':
        output.push(statement.value)
        return 'end'
      case 'print':
        output.push(toText(evaluate(statement.value, scope), meter))
        return 'end'
      case 'set':
        assign(statement.target, evaluate(statement.value, scope), scope)
        return 'end'
      case 'set-block': {
        let ending: Ending = 'end'
        const text = capture((captured) => (ending = run(statement.body, new Scope(scope), captured)))
        if (ending === 'end') assign(statement.target, filterText(statement.filter, text, scope), scope)
        return ending
      }
      case 'if':
        return run(
          statement.branches.find(({ test }) => isTrue(evaluate(test, scope)))?.body ?? statement.otherwise,
          scope,
          output,
        )
      case 'for':
        runLoop(statement, evaluate(statement.iterable, scope), scope, output, 0)
        return 'end'
      case 'macro':
        scope.set(statement.macro.name!, createTemplateMacro(statement.macro, scope))
        return 'end'
      case 'call-block': {
        const caller = createTemplateMacro(statement.caller, scope)
        output.push(toText(call(statement.call, scope, caller), meter))
        return 'end'
      }
      case 'filter-block': {
        let ending: Ending = 'end'
        const text = capture((captured) => (ending = run(statement.body, new Scope(scope), captured)))
        if (ending === 'end') output.push(toText(filterText(statement.filter, text, scope), meter))
        return ending
      }
      case 'with': {
        const inner = new Scope(scope)
        for (const [target, value] of statement.variables) assign(target, evaluate(value, scope), inner)
        return run(statement.body, inner, output)
      }
      case 'scope':
        return run(statement.body, new Scope(scope), output)
      default:
        return statement.kind
    }
  }

  function filterText(filter: FilterCall | undefined, text: Text, scope: Scope): Value {
    return filter ? applyFilter(filter, () => text, scope) : text
  }

  /** Applies a chain of filters. The first one has no operand: it filters `start`. */
  function applyFilter({ operand, name, given }: FilterCall, start: () => Value, scope: Scope): Value {
    const value =
      operand === undefined
        ? start()
        : operand.kind === 'filter'
          ? applyFilter(operand, start, scope)
          : evaluate(operand, scope)
    return runtime.callFilter(name, value, evaluateArguments(given, scope))
  }

  function assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') scope.set(target.name, value)
    else if (target.kind === 'namespace') {
      const namespace = scope.find(target.name, () => null)
      if (!(namespace instanceof Namespace)) {
        throw new TemplateError('cannot assign attribute on non-namespace object')
      }
      namespace.attributes.set(target.attribute, value)
    } else {
      const values = toArray(value, meter)
      if (values.length !== target.items.length) {
        const problem = values.length < target.items.length ? 'not enough' : 'too many'
        throw new TemplateError(`${problem} values to unpack (expected ${target.items.length})`)
      }
      for (const [index, item] of target.items.entries()) assign(item, values[index]!, scope)
    }
  }

  function runLoop(statement: ForLoop, iterable: Value, scope: Scope, output: Text[], depth: number): void {
    const { target, condition, isRecursive } = statement
    const isSelected = (item: Value): boolean => {
      if (!condition) return true
      const inner = new Scope(scope)
      assign(target, item, inner)
      return isTrue(evaluate(condition, inner))
    }
    const recurse = (inner: Value) =>
      capture((captured) => runLoop(statement, inner, scope, captured, depth + 1))
    const loop = createLoop(iterate(iterable), isSelected, meter, depth, isRecursive ? recurse : undefined)
    let isEmpty = true
    for (let item = loop.next(); item !== undefined; item = loop.next()) {
      meter.step()
      isEmpty = false
      const inner = new Scope(scope)
      inner.set('loop', loop.value)
      assign(target, item, inner)
      if (run(statement.body, inner, output) === 'break') return
    }
    if (isEmpty) run(statement.otherwise, new Scope(scope), output)
  }

  function createTemplateMacro(macro: MacroBody, scope: Scope): Callable {
    return createMacro(macro, (bindArguments) => {
      const inner = new Scope(scope)
      bindArguments(inner, (value) => evaluate(value, inner))
      return capture((captured) => run(macro.body, inner, captured))
    })
  }

  function evaluate(expression: Expression, scope: Scope): Value {
    meter.step()
    switch (expression.kind) {
      case 'text':
      case 'constant':
        return expression.value
      case 'name':
        return scope.find(expression.name, () => new Undefined(`'${expression.name}' is undefined`))
      case 'list':
      case 'tuple':
        return new List(
          expression.items.map((item) => evaluate(item, scope)),
          expression.kind,
        )
      case 'dict':
        return new Dict(
          expression.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)] as const),
        )
      case 'attribute':
        return getAttribute(evaluate(expression.object, scope), expression.name, meter)
      case 'item':
        return evaluateItem(evaluate(expression.object, scope), expression.index, scope)
      case 'slice':
        throw new TemplateError('A slice is only possible as the only index.')
      case 'call':
        return call(expression, scope)
      case 'filter':
        return applyFilter(expression, () => Text.empty, scope)
      case 'test':
        return runtime.callTest(
          expression.name,
          evaluate(expression.operand, scope),
          evaluateArguments(expression.given, scope),
        )
      case 'not':
        return !isTrue(evaluate(expression.operand, scope))
      case 'negate':
      case 'plus':
        return applySign(expression.kind === 'negate', evaluate(expression.operand, scope))
      case 'and':
      case 'or': {
        const left = evaluate(expression.left, scope)
        return isTrue(left) === (expression.kind === 'and') ? evaluate(expression.right, scope) : left
      }
      case 'arithmetic':
        return calculate(
          expression.operator,
          evaluate(expression.left, scope),
          evaluate(expression.right, scope),
          meter,
        )
      case 'concat':
        return expression.parts
          .map((part) => toText(evaluate(part, scope), meter))
          .reduce((left, right) => concatTexts(left, right, meter))
      case 'compare':
        return evaluateComparison(expression, scope)
      case 'choose': {
        if (isTrue(evaluate(expression.condition, scope))) return evaluate(expression.value, scope)
        return expression.otherwise
          ? evaluate(expression.otherwise, scope)
          : new Undefined('the inline if-expression evaluated to false and no else section was defined.')
      }
    }
  }

  function evaluateItem(object: Value, index: Expression, scope: Scope): Value {
    if (index.kind !== 'slice') return getItem(object, evaluate(index, scope), meter)
    const places = [index.start, index.stop, index.step].map((place) =>
      place ? evaluate(place, scope) : null,
    )
    return getSlice(object, places, meter)
  }

  function evaluateComparison({ first, rest }: Expression & { kind: 'compare' }, scope: Scope): boolean {
    let left = evaluate(first, scope)
    for (const { operator, operand } of rest) {
      const right = evaluate(operand, scope)
      if (!compareValues(operator, left, right, meter)) return false
      left = right
    }
    return true
  }

  function evaluateArguments(
    { positional, named, spread, namedSpread }: CallArguments,
    scope: Scope,
  ): Arguments {
    const values = positional.map((value) => evaluate(value, scope))
    if (named.length === 0 && !spread && !namedSpread) return { positional: values, named: noNames }
    const byName = new Map(named.map(([name, value]) => [name, evaluate(value, scope)]))
    if (spread) values.push(...toArray(evaluate(spread, scope), meter))
    if (namedSpread) {
      const more = evaluate(namedSpread, scope)
      if (!(more instanceof Dict)) throw new TemplateError('The argument after ** must be a mapping.')
      for (const [key, value] of more.entries()) byName.set(toText(key, meter).value, value)
    }
    return { positional: values, named: byName }
  }

  /** @param caller what the macro gets as `caller`, for a call block */
  function call({ callee, given }: Expression & { kind: 'call' }, scope: Scope, caller?: Callable): Value {
    const called = evaluate(callee, scope)
    const evaluated = evaluateArguments(given, scope)
    const withCaller = caller
      ? { ...evaluated, named: new Map([...evaluated.named, ['caller', caller]]) }
      : evaluated
    if (called instanceof Callable) return called.call(withCaller)
    if (called instanceof Structure && called.call) return called.call(withCaller)
    if (called instanceof Undefined) return called.fail()
    throw new TemplateError(`'${typeName(called)}' object is not callable`)
  }

  /** Reads an attribute path. A number in the path is an index: `items.0.name`. */
  function createGetter(attribute: Value, missing?: Value): (item: Value) => Value {
    const path: readonly Value[] =
      attribute instanceof Text
        ? attribute.value
            .split('.')
            .map((part) => (/^\d+$/.test(part) ? BigInt(part) : Text.ofTemplate(part)))
        : [attribute]
    return (item) =>
      path.reduce((object, part) => {
        const value = getItem(object, part, meter)
        return missing !== undefined && value instanceof Undefined ? missing : value
      }, item)
  }

  return capture((output) => run(statements, new Scope(root), output))
}
