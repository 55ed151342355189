import { Bound } from './arguments.js'
import { TemplateError, type Meter } from './meter.js'
import { toText } from './represent.js'
import { toIndex } from './operators.js'
import { formatDate } from './strftime.js'
import { Text } from './text.js'
import {
  Callable,
  Dict,
  List,
  Namespace,
  Structure,
  toArray,
  type Arguments,
  type CallFunction,
  type Value,
} from './values.js'

/** The longest range that the sandbox of transformers allows. */
const maxRange = 100_000

/** Returns the variables that every template has: jinja2's, and those that transformers adds. */
export function createGlobals(meter: Meter): ReadonlyMap<string, Value> {
  const functions: Readonly<Record<string, CallFunction>> = {
    range: (given) => createRange(given, meter),
    dict: (given) => createDict(given, meter),
    namespace: (given) => {
      const created = new Namespace()
      for (const [key, value] of createDict(given, meter).entries()) {
        created.attributes.set(toText(key, meter).value, value)
      }
      return created
    },
    joiner: (given) => createJoiner(new Bound('joiner', given, ['sep']).text('sep') ?? Text.ofTemplate(', ')),
    cycler: ({ positional }) => createCycler(positional),
    raise_exception: (given) => {
      throw new TemplateError(
        toText(new Bound('raise_exception', given, ['message']).require('message'), meter).value,
      )
    },
    strftime_now: (given) => {
      const format = new Bound('strftime_now', given, ['format']).requireText('format')
      return Text.ofTemplate(formatDate(new Date(), format.value))
    },
  }
  return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]))
}

function createRange(given: Arguments, meter: Meter): Value {
  const [first, second, third] = given.positional
  if (first === undefined || given.positional.length > 3 || given.named.size > 0) {
    throw new TemplateError('range() takes 1 to 3 arguments without names.')
  }
  const [from, to] = second === undefined ? [0, toIndex(first)] : [toIndex(first), toIndex(second)]
  const step = third === undefined ? 1 : toIndex(third)
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero')
  const length = Math.max(0, Math.ceil((to - from) / step))
  if (!(length <= maxRange))
    throw new TemplateError(`Range too big. A range has at most ${maxRange} numbers.`)
  meter.growList(length)
  const title = `range(${from}, ${to}${step === 1 ? '' : `, ${step}`})`
  return new List(
    Array.from({ length }, (_, index) => BigInt(from + index * step)),
    'range',
    title,
  )
}

/** `dict(…)`: the pairs of the first argument, then the named arguments. */
function createDict({ positional, named }: Arguments, meter: Meter): Dict {
  const [source] = positional
  const created = new Dict(source instanceof Dict ? source.entries() : readPairs(source, meter))
  for (const [name, value] of named) created.set(Text.ofTemplate(name), value)
  return created
}

function readPairs(source: Value | undefined, meter: Meter): (readonly [Value, Value])[] {
  if (source === undefined) return []
  return toArray(source, meter).map((pair) => {
    const [key, value, ...rest] = toArray(pair, meter)
    if (key !== undefined && value !== undefined && rest.length === 0) return [key, value]
    throw new TemplateError('dict() needs pairs of a key and a value.')
  })
}

function createJoiner(separator: Text): Callable {
  let isUsed = false
  return new Callable('joiner', () => {
    if (isUsed) return separator
    isUsed = true
    return Text.empty
  })
}

function createCycler(items: readonly Value[]): Structure {
  if (items.length === 0) throw new TemplateError('at least one item has to be provided')
  let place = 0
  const step = () => {
    const item = items[place]!
    place = (place + 1) % items.length
    return item
  }
  const reset = () => {
    place = 0
    return null
  }
  return new Structure('Cycler', (name) => {
    if (name === 'current') return items[place]
    if (name === 'next') return new Callable(name, step)
    return name === 'reset' ? new Callable(name, reset) : undefined
  })
}
