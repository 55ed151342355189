import { Bound, requireText } from './arguments.js'
import { TemplateError } from './meter.js'
import { calculate, toIndex } from './operators.js'
import { toLower } from './python-strings.js'
import type { FilterRow, Runtime } from './runtime.js'
import { Text } from './text.js'
import {
  Dict,
  Iterated,
  List,
  Undefined,
  compare,
  hash,
  isEqual,
  isTrue,
  iterate,
  toArray,
  typeName,
  type Arguments,
  type Value,
} from './values.js'

const row = (
  parameters: readonly string[],
  call: (value: Value, given: Bound, runtime: Runtime) => Value,
): FilterRow => ({
  call: (name, value, given, runtime) => call(value, new Bound(name, given, parameters), runtime),
})

/** `select`, `reject`, `selectattr` and `rejectattr`: keeps the items for which a test gives `wanted`. */
const select = (wanted: boolean, readsAttribute: boolean): FilterRow => ({
  call: (name, value, { positional, named }, runtime) =>
    lazily(orEmpty(value), runtime, () => {
      const [attribute] = positional
      if (readsAttribute && attribute === undefined) {
        throw new TemplateError(`${name}: Missing parameter for attribute name`)
      }
      const read = readsAttribute ? runtime.createGetter(attribute!) : (item: Value) => item
      const [test, ...given] = readsAttribute ? positional.slice(1) : positional
      const check =
        test === undefined
          ? isTrue
          : (item: Value) =>
              runtime.callTest(requireText(test, name).value, item, { positional: given, named })
      return (item) => (check(read(item)) === wanted ? [item] : [])
    }),
})

/** `select` and `map` take every false value as an empty list, also None. */
function orEmpty(value: Value): Value {
  return isTrue(value) ? value : new List([])
}

/**
 * Returns a generator over what a function makes of each item. As in jinja2, nothing happens, and nothing fails, before the
 * generator is read.
 */
function lazily(value: Value, { meter }: Runtime, prepare: () => (item: Value) => Iterable<Value>): Iterated {
  function* generate() {
    const iterator = iterate(value)
    let convert: ReturnType<typeof prepare> | undefined
    for (let next = iterator.next(); !next.done; next = iterator.next()) {
      meter.step()
      convert ??= prepare()
      yield* convert(next.value)
    }
  }
  return new Iterated(generate())
}

const extreme = (sign: 1 | -1) =>
  row(['case_sensitive', 'attribute'], (value, given, runtime) => {
    const readKey = createKeyReader(given, runtime)
    let best: { readonly item: Value; readonly key: Value } | undefined
    for (const item of toArray(value, runtime.meter)) {
      const key = readKey(item)
      if (!best || compare(key, best.key, '<', runtime.meter) * sign < 0) best = { item, key }
    }
    return best ? best.item : new Undefined('No aggregated item, sequence was empty.')
  })

/** The filters for lists and other iterables, by name. */
export const listFilters: Readonly<Record<string, FilterRow>> = {
  select: select(true, false),
  reject: select(false, false),
  selectattr: select(true, true),
  rejectattr: select(false, true),
  map: {
    call: (_, value, given, runtime) =>
      lazily(orEmpty(value), runtime, () => {
        const convert = createMapping(given, runtime)
        return (item) => [convert(item)]
      }),
  },
  min: extreme(1),
  max: extreme(-1),
  sum: row(['attribute', 'start'], (value, given, runtime) => {
    const attribute = given.get('attribute') ?? null
    const read = attribute === null ? (item: Value) => item : runtime.createGetter(attribute)
    const start: Value = given.get('start') ?? 0n
    if (start instanceof Text) throw new TemplateError("sum() can't sum strings [use ''.join(seq) instead]")
    return toArray(value, runtime.meter).reduce<Value>(
      (sum, item) => calculate('+', sum, read(item), runtime.meter),
      start,
    )
  }),
  sort: row(['reverse', 'case_sensitive', 'attribute'], (value, given, runtime) => {
    const readKeys = createKeysReader(given, runtime)
    const keyed = toArray(value, runtime.meter).map((item) => ({ item, key: readKeys(item) }))
    return new List(sortBy(keyed, given.isTrue('reverse'), runtime).map(({ item }) => item))
  }),
  unique: row(['case_sensitive', 'attribute'], (value, given, runtime) => {
    const seen = new Set<string>()
    return lazily(value, runtime, () => {
      const readKey = createKeyReader(given, runtime)
      return (item) => {
        const key = hash(readKey(item))
        const isNew = !seen.has(key)
        seen.add(key)
        return isNew ? [item] : []
      }
    })
  }),
  groupby: row(['attribute', 'default', 'case_sensitive'], (value, given, runtime) => {
    const read = runtime.createGetter(given.require('attribute'), given.get('default') ?? undefined)
    const keyed = toArray(value, runtime.meter).map((item) => ({ item, key: foldCase(read(item), given) }))
    const groups: { readonly key: Value; readonly items: Value[] }[] = []
    for (const { item, key } of sortBy(keyed, false, runtime)) {
      const last = groups.at(-1)
      if (last && isEqual(last.key, key, runtime.meter)) last.items.push(item)
      else groups.push({ key, items: [item] })
    }
    return new List(groups.map(({ items }) => new List([read(items[0]!), new List(items)], 'tuple')))
  }),
  dictsort: row(['case_sensitive', 'by', 'reverse'], (value, given, runtime) => {
    if (!(value instanceof Dict))
      throw new TemplateError(`'${typeName(value)}' object has no attribute 'items'`)
    const by = given.text('by')?.value ?? 'key'
    if (by !== 'key' && by !== 'value')
      throw new TemplateError('You can only sort by either "key" or "value"')
    const keyed = Array.from(value.entries(), (entry) => ({
      item: new List(entry, 'tuple'),
      key: foldCase(entry[by === 'key' ? 0 : 1], given),
    }))
    return new List(sortBy(keyed, given.isTrue('reverse'), runtime).map(({ item }) => item))
  }),
  batch: row(['linecount', 'fill_with'], (value, given, runtime) => {
    const size = toIndex(given.require('linecount'))
    const fill = given.get('fill_with') ?? null
    const items = toArray(value, runtime.meter)
    if (size < 1) throw new TemplateError('batch needs a size of at least 1.')
    const rows: Value[] = []
    for (let start = 0; start < items.length; start += size)
      rows.push(fillRow(items.slice(start, start + size), size, fill, runtime))
    return new Iterated(rows.values())
  }),
  slice: row(['slices', 'fill_with'], (value, given, runtime) => {
    const count = toIndex(given.require('slices'))
    const fill = given.get('fill_with') ?? null
    const items = toArray(value, runtime.meter)
    if (count < 1) throw new TemplateError('slice needs at least 1 slice.')
    runtime.meter.growList(count)
    const [size, extra] = [Math.floor(items.length / count), items.length % count]
    const rows = Array.from({ length: count }, (_, index) => {
      const start = index * size + Math.min(index, extra)
      const part = items.slice(start, start + size + (index < extra ? 1 : 0))
      return fillRow(part, index >= extra && fill !== null ? part.length + 1 : 0, fill, runtime)
    })
    return new Iterated(rows.values())
  }),
}

function fillRow(items: readonly Value[], size: number, fill: Value, { meter }: Runtime): List {
  if (fill === null || items.length >= size) return new List(items)
  meter.growList(size)
  return new List([...items, ...Array.from({ length: size - items.length }, () => fill)])
}

function createMapping({ positional, named }: Arguments, runtime: Runtime): (item: Value) => Value {
  const attribute = named.get('attribute')
  if (positional.length === 0 && attribute !== undefined) {
    return runtime.createGetter(attribute, named.get('default') ?? undefined)
  }
  const [filter, ...rest] = positional
  if (filter === undefined) throw new TemplateError('map requires a filter argument')
  const { value } = requireText(filter, 'map')
  return (item) => runtime.callFilter(value, item, { positional: rest, named })
}

/** Strings are compared without case, unless `case_sensitive` is true. */
function foldCase(value: Value, given: Bound): Value {
  return value instanceof Text && !given.isTrue('case_sensitive') ? value.convert(toLower) : value
}

function createKeyReader(given: Bound, runtime: Runtime): (item: Value) => Value {
  const attribute = given.get('attribute') ?? null
  const read = attribute === null ? (item: Value) => item : runtime.createGetter(attribute)
  return (item) => foldCase(read(item), given)
}

/** Reads a key for `sort`, which takes several attributes: `age,name`. */
function createKeysReader(given: Bound, runtime: Runtime): (item: Value) => Value {
  const attribute = given.get('attribute') ?? null
  if (!(attribute instanceof Text)) return createKeyReader(given, runtime)
  const readers = attribute.value.split(',').map((name) => runtime.createGetter(Text.ofTemplate(name)))
  return (item) => new List(readers.map((read) => foldCase(read(item), given)))
}

function sortBy<Keyed extends { readonly key: Value }>(
  items: readonly Keyed[],
  isReversed: boolean,
  { meter }: Runtime,
): Keyed[] {
  const sign = isReversed ? -1 : 1
  return items.toSorted((a, b) => sign * compare(a.key, b.key, '<', meter))
}
