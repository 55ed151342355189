import { Bound } from './arguments.js'
import { formatBraces } from './format.js'
import { TemplateError, type Meter } from './meter.js'
import { takeSlice } from './operators.js'
import { represent } from './represent.js'
import { findStringMethod } from './string-methods.js'
import { Text } from './text.js'
import {
  Callable,
  Dict,
  DictView,
  List,
  Namespace,
  Structure,
  Undefined,
  isEqual,
  listKeys,
  toNumber,
  typeName,
  type Arguments,
  type Value,
} from './values.js'

/** `object.name`: an attribute, else an item. */
export function getAttribute(object: Value, name: string, meter: Meter): Value {
  if (object instanceof Undefined) return object.fail()
  const attribute = findMember(object, name, meter)
  if (attribute !== undefined) return attribute
  const item = object instanceof Dict ? object.getNamed(name) : undefined
  return item === undefined ? new Undefined(`'${describeObject(object)}' has no attribute '${name}'`) : item
}

/** `object[key]`: an item, else an attribute if the key is text. */
export function getItem(object: Value, key: Value, meter: Meter): Value {
  if (object instanceof Undefined) return object.fail()
  if (object instanceof Text) meter.scan(object.value.length)
  const item = findItem(object, key)
  if (item !== undefined) return item
  if (key instanceof Text) {
    const attribute = findMember(object, key.value, meter)
    if (attribute !== undefined) return attribute
    return new Undefined(`'${describeObject(object)}' has no attribute '${key.value}'`)
  }
  return new Undefined(`${describeObject(object)} has no element ${represent(key, meter).value}`)
}

/** `object[start:stop:step]`. Unlike an index, a slice that is not possible fails. */
export function getSlice(object: Value, places: readonly Value[], meter: Meter): Value {
  if (object instanceof Undefined) return object.fail()
  const slice = takeSlice(object, places, meter)
  if (slice !== undefined) return slice
  throw new TemplateError(`'${typeName(object)}' object has no slices`)
}

function describeObject(object: Value): string {
  return object === null ? 'None' : `${typeName(object)} object`
}

function findItem(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict) return isHashable(key) ? object.get(key) : undefined
  const index = toNumber(key)
  if (typeof index !== 'bigint') return undefined
  if (object instanceof List) return object.items.at(Number(index))
  if (!(object instanceof Text)) return undefined
  const place = Number(index < 0n ? index + BigInt(object.length) : index)
  return place >= 0 && place < object.length ? object.slice(place, place + 1) : undefined
}

function isHashable(key: Value): boolean {
  if (key instanceof List) return key.kind === 'tuple' && key.items.every(isHashable)
  return !(typeof key === 'object' && key !== null && !(key instanceof Text || key instanceof Undefined))
}

/** The methods that change a list or a dict. The sandbox of transformers forbids them. */
const changing: Readonly<Record<'list' | 'dict', readonly string[]>> = {
  list: ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
}

/** Returns an attribute, without the items of a dict. */
export function findMember(object: Value, name: string, meter: Meter): Value | undefined {
  if (object instanceof Text) {
    return name === 'format'
      ? new Callable(name, (given) => formatText(object, given, meter))
      : findStringMethod(object, name, meter)
  }
  if (object instanceof Structure) return object.attribute(name)
  if (object instanceof Namespace) return object.attributes.get(name)
  const type = typeName(object)
  if ((type === 'list' || type === 'dict') && changing[type].includes(name)) {
    return new Undefined(`access to attribute '${name}' of '${type}' object is unsafe.`)
  }
  if (object instanceof Dict) return findDictMethod(object, name)
  if (object instanceof List) return findListMethod(object, name, meter)
  return undefined
}

function findDictMethod(dict: Dict, name: string): Callable | undefined {
  switch (name) {
    case 'keys':
      return new Callable(name, () => new DictView(listKeys(dict), 'keys'))
    case 'values':
      return new Callable(
        name,
        () =>
          new DictView(
            Array.from(dict.entries(), ([, value]) => value),
            'values',
          ),
      )
    case 'items':
      return new Callable(name, () => viewItems(dict))
    case 'get':
      return new Callable(name, (given) => {
        const bound = new Bound(name, given, ['key', 'default'])
        const value = dict.get(bound.require('key'))
        return value === undefined ? (bound.get('default') ?? null) : value
      })
    case 'copy':
      return new Callable(name, () => dict)
    default:
      return undefined
  }
}

export function viewItems(dict: Dict): DictView {
  return new DictView(
    Array.from(dict.entries(), (entry) => new List(entry, 'tuple')),
    'items',
  )
}

function findListMethod(list: List, name: string, meter: Meter): Callable | undefined {
  switch (name) {
    case 'index':
      return new Callable(name, (given) => {
        const bound = new Bound(name, given, ['value', 'start', 'stop'])
        const value = bound.require('value')
        const start = bound.integer('start') ?? 0
        const stop = bound.integer('stop') ?? list.items.length
        const found = list.items.slice(start, stop).findIndex((item) => isEqual(item, value, meter))
        if (found === -1) throw new TemplateError(`${represent(value, meter).value} is not in ${list.kind}`)
        return BigInt(found + (start < 0 ? Math.max(0, start + list.items.length) : start))
      })
    case 'count':
      return new Callable(name, (given) => {
        const value = new Bound(name, given, ['value']).require('value')
        return BigInt(list.items.filter((item) => isEqual(item, value, meter)).length)
      })
    case 'copy':
      return list.kind === 'list' ? new Callable(name, () => list) : undefined
    default:
      return undefined
  }
}

/** `text.format(…)`. A field can name a member: `{0.name}`, `{item[key]}`. */
function formatText(text: Text, { positional, named }: Arguments, meter: Meter): Text {
  const find = (field: string): Value => {
    const [, first = '', rest = ''] = /^([^.[]*)(.*)$/s.exec(field) ?? []
    const isIndex = /^\d+$/.test(first)
    let value = isIndex ? positional[Number(first)] : named.get(first)
    if (value === undefined) {
      throw new TemplateError(isIndex ? 'Replacement index out of range' : `KeyError: '${first}'`)
    }
    for (const [, attribute, item] of rest.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g)) {
      value =
        attribute !== undefined
          ? getAttribute(value, attribute, meter)
          : getItem(value, /^\d+$/.test(item!) ? BigInt(item!) : Text.ofTemplate(item!), meter)
    }
    return value instanceof Undefined ? value.fail() : value
  }
  return formatBraces(text, find, meter)
}
