import { TemplateError } from './meter.js'
import type { Scope } from './scope.js'
import type { Expression, MacroBody } from './syntax.js'
import { Text } from './text.js'
import { Callable, Dict, List, Undefined, type Arguments, type Value } from './values.js'

/** Sets the variables of a call. `evaluate` computes the defaults. */
type BindArguments = (scope: Scope, evaluate: (value: Expression) => Value) => void

/**
 * Creates the function of a macro. The rules for its arguments are those of jinja2's `Macro.__call__`.
 * @param run runs the body with the variables that its argument sets
 */
export function createMacro(macro: MacroBody, run: (bind: BindArguments) => Value): Callable {
  const title = macro.name ?? 'anonymous'
  return new Callable(title, (given) =>
    run((scope, evaluate) => bindArguments(macro, title, given, scope, evaluate)),
  )
}

function bindArguments(
  { parameters, usedNames }: MacroBody,
  title: string,
  { positional, named }: Arguments,
  scope: Scope,
  evaluate: (value: Expression) => Value,
): void {
  const left = new Map(named)
  const missing: (typeof parameters)[number][] = []
  for (const [index, parameter] of parameters.entries()) {
    const { name } = parameter
    const value = index < positional.length ? positional[index] : left.get(name)
    if (index >= positional.length) left.delete(name)
    if (value === undefined) missing.push(parameter)
    scope.set(name, value === undefined ? new Undefined(`parameter '${name}' was not provided`) : value)
  }
  const hasCallerParameter = parameters.some(({ name }) => name === 'caller')
  if (usedNames.has('caller') && !hasCallerParameter) {
    scope.set('caller', left.get('caller') ?? new Undefined('No caller defined'))
    left.delete('caller')
  }
  if (usedNames.has('kwargs')) {
    scope.set(
      'kwargs',
      new Dict(Array.from(left, ([name, value]) => [Text.ofTemplate(name), value] as const)),
    )
  } else if (left.size > 0) {
    throw new TemplateError(`macro '${title}' takes no keyword argument '${[...left.keys()][0]}'`)
  }
  if (usedNames.has('varargs')) scope.set('varargs', new List(positional.slice(parameters.length), 'tuple'))
  else if (positional.length > parameters.length) {
    throw new TemplateError(`macro '${title}' takes not more than ${parameters.length} argument(s)`)
  }
  for (const { name, default: value } of missing) if (value) scope.set(name, evaluate(value))
}
