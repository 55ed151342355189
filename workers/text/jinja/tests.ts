import { Bound } from './arguments.js'
import { TemplateError } from './meter.js'
import { calculate, compareValues } from './operators.js'
import { stringTests } from './python-strings.js'
import { findFilter } from './filters.js'
import { toText } from './represent.js'
import type { Runtime } from './runtime.js'
import { Text } from './text.js'
import {
  Callable,
  Dict,
  DictView,
  Iterated,
  List,
  Structure,
  Undefined,
  isEqual,
  toNumber,
  type Arguments,
  type Value,
} from './values.js'

type Test = (value: Value, given: Arguments, runtime: Runtime) => boolean

const simple =
  (check: (value: Value) => boolean): Test =>
  (value, given) => {
    if (given.positional.length + given.named.size > 0)
      throw new TemplateError('This test takes no arguments.')
    return check(value)
  }

const compared =
  (operator: string): Test =>
  (value, given, { meter }) =>
    compareValues(operator, value, new Bound('test', given, ['other']).require('other'), meter)

const cased =
  (name: 'islower' | 'isupper'): Test =>
  (value, _, { meter }) =>
    stringTests[name]!(toText(value, meter).value)

const remainder = (value: Value, by: Value, { meter }: Runtime) => calculate('%', value, by, meter)
const isInteger = (value: Value) => typeof value === 'bigint'
const isSequence = (value: Value) =>
  value instanceof Text || value instanceof List || value instanceof Dict || value instanceof Undefined
const exists = (find: (name: string) => unknown) => (value: Value) => {
  try {
    return value instanceof Text && find(value.value) !== undefined
  } catch {
    return false
  }
}

const tests: Readonly<Record<string, Test>> = {
  defined: simple((value) => !(value instanceof Undefined)),
  undefined: simple((value) => value instanceof Undefined),
  none: simple((value) => value === null),
  true: simple((value) => value === true),
  false: simple((value) => value === false),
  boolean: simple((value) => typeof value === 'boolean'),
  integer: simple(isInteger),
  float: simple((value) => typeof value === 'number'),
  number: simple((value) => toNumber(value) !== undefined),
  string: simple((value) => value instanceof Text),
  mapping: simple((value) => value instanceof Dict),
  sequence: simple(isSequence),
  iterable: simple((value) => isSequence(value) || value instanceof DictView || value instanceof Iterated),
  callable: simple(
    (value) =>
      value instanceof Callable ||
      value instanceof Undefined ||
      (value instanceof Structure && value.call !== undefined),
  ),
  escaped: simple((value) => value instanceof Text && value.isMarkup),
  odd: (value, _, runtime) => isEqual(remainder(value, 2n, runtime), 1n, runtime.meter),
  even: (value, _, runtime) => isEqual(remainder(value, 2n, runtime), 0n, runtime.meter),
  divisibleby: (value, given, runtime) =>
    isEqual(
      remainder(value, new Bound('divisibleby', given, ['num']).require('num'), runtime),
      0n,
      runtime.meter,
    ),
  sameas: (value, given) => isSame(value, new Bound('sameas', given, ['other']).require('other')),
  lower: cased('islower'),
  upper: cased('isupper'),
  filter: simple(exists(findFilter)),
  test: simple(exists(findTest)),
  in: compared('in'),
  ...Object.fromEntries([
    ...['==', 'eq', 'equalto'].map((name) => [name, compared('==')] as const),
    ...['!=', 'ne'].map((name) => [name, compared('!=')] as const),
    ...['>', 'gt', 'greaterthan'].map((name) => [name, compared('>')] as const),
    ...['>=', 'ge'].map((name) => [name, compared('>=')] as const),
    ...['<', 'lt', 'lessthan'].map((name) => [name, compared('<')] as const),
    ...['<=', 'le'].map((name) => [name, compared('<=')] as const),
  ]),
}

/** Returns a test by its name. @throws TemplateError if jinja2 has no such test */
export function findTest(name: string): Test {
  const found = Object.hasOwn(tests, name) ? tests[name] : undefined
  if (found) return found
  throw new TemplateError(`No test named '${name}'.`)
}

/** Texts and numbers have no identity here; equal ones are the same. */
function isSame(left: Value, right: Value): boolean {
  return left instanceof Text && right instanceof Text ? left.value === right.value : left === right
}
