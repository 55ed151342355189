import {
  maxHeaderLength,
  maxHeldValueLength,
  type CallReader,
  type CallSink,
  type ReadOutcome,
} from './call-reader.js'
import { createJsonValueScanner, parseJson, type JsonValueScanner } from './json-value.js'

export interface JsonCallOptions {
  /** True for a list of calls. */
  readonly isList: boolean
  readonly nameKey: string
  readonly argumentsKey: string
  /** The mark that ends the call; empty if the JSON's own end does. */
  readonly close: string
  /**
   * For calls without a mark: the names of the tools. Then the text is a call only if the object has one of these names, and
   * nothing else before its arguments. Otherwise the object is an answer in JSON.
   */
  readonly knownNames?: readonly string[] | undefined
}

type Phase = 'open' | 'object' | 'key' | 'colon' | 'value' | 'next' | 'list' | 'close' | 'lost'

/** The fields that hold a name or arguments in any family. Models of one family also write those of others. */
const nameKeys = new Set(['name', 'tool_name'])
const argumentKeys = new Set(['arguments', 'parameters'])

/** Creates a reader of calls like `{"name": "f", "arguments": {}}`. */
export function createJsonCallReader(options: JsonCallOptions, sink: CallSink): CallReader {
  const { isList, close, knownNames } = options
  const isNameKey = (key: string) => key === options.nameKey || nameKeys.has(key)
  const isArgumentsKey = (key: string) => key === options.argumentsKey || argumentKeys.has(key)
  let phase: Phase = 'open'
  let key = ''
  let value = ''
  let scanner: JsonValueScanner = createJsonValueScanner()
  let hasCall = false
  /** How many objects of the form `{"type": "function", "function": {…}}` are open around the call. */
  let nesting = 0
  let name: string | undefined
  let isStarted = false
  let hasArguments = false
  /** True if the value is a text. */
  let isText = false
  /** How many characters came before the first call, without the value that `value` and `heldArguments` bound. */
  let headerLength = 0
  /** The arguments, if they come before the name or as a text. */
  let heldArguments = ''

  function startCall(): void {
    if (isStarted || name === undefined) return
    isStarted = true
    hasCall = true
    sink.startCall(name)
    if (heldArguments !== '') sink.addArguments(heldArguments)
    heldArguments = ''
  }

  function addArguments(json: string): void {
    hasArguments = true
    if (isStarted) sink.addArguments(json)
    else heldArguments += json
  }

  /** Ends the text of the call. After a call has started, the rest up to the mark is not shown. */
  function fail(): ReadOutcome {
    if (!hasCall) return 'wrong'
    phase = 'lost'
    return close === '' ? 'done' : 'more'
  }

  function startObject(): void {
    phase = 'object'
    nesting = 0
    name = undefined
    isStarted = false
    hasArguments = false
    heldArguments = ''
  }

  function endObject(): ReadOutcome {
    if (nesting > 0) {
      nesting -= 1
      phase = 'next'
      return 'more'
    }
    if (name === undefined || (knownNames && !hasArguments)) return fail()
    startCall()
    if (!hasArguments) sink.addArguments('{}')
    phase = isList ? 'list' : 'close'
    return !isList && close === '' ? 'done' : 'more'
  }

  function startValue(character: string): ReadOutcome {
    phase = 'value'
    isText = character === '"'
    scanner = createJsonValueScanner()
    if (key === 'function' && character === '{') {
      nesting += 1
      phase = 'object'
      return 'more'
    }
    if (isArgumentsKey(key)) {
      if (knownNames && (name === undefined || !knownNames.includes(name))) return fail()
      startCall()
    } else if (knownNames && !isNameKey(key) && key !== 'type' && key !== 'function' && !isStarted)
      return fail()
    return readValue(character)
  }

  /** True if the value is arguments that can be passed on as they arrive. */
  const isDirect = () => isArgumentsKey(key) && !isText

  function readValue(character: string): ReadOutcome {
    const where = scanner.read(character)
    if (where === 'after') {
      const outcome = endValue()
      return outcome === 'more' ? readNext(character) : outcome
    }
    value = isDirect() ? character : value + character
    if (isDirect()) {
      addArguments(character)
      if (!isStarted && heldArguments.length > maxHeldValueLength) return fail()
    } else if (value.length > maxHeldValueLength) return fail()
    return where === 'last' ? endValue() : 'more'
  }

  function endValue(): ReadOutcome {
    phase = 'next'
    if (isDirect()) return 'more'
    if (isArgumentsKey(key)) {
      // Some models write the arguments as OpenAI's API does: a JSON text in a text.
      const text = parseJson(value)
      addArguments(typeof text === 'string' ? text : value)
    } else if (isNameKey(key) || (key === 'function' && isText)) {
      const text = parseJson(value)
      if (typeof text !== 'string') return fail()
      name ??= text
      if (!knownNames) startCall()
    }
    return 'more'
  }

  function readNext(character: string): ReadOutcome {
    if (/\s/.test(character)) return 'more'
    if (character === '}') return endObject()
    if (character !== ',') return fail()
    phase = 'object'
    return 'more'
  }

  function readKey(character: string): ReadOutcome {
    value += character
    const where = scanner.read(character)
    if (where === 'inside') return value.length > maxHeldValueLength ? fail() : 'more'
    const text = parseJson(value)
    if (typeof text !== 'string') return fail()
    key = text
    phase = 'colon'
    return 'more'
  }

  function readClose(piece: string, isMark: boolean): ReadOutcome {
    if (isMark && piece === close) return 'done'
    if (close === '') return 'other'
    return !isMark && /\s/.test(piece) ? 'more' : 'other'
  }

  const steps: Record<Phase, (character: string) => ReadOutcome> = {
    open(character) {
      if (character === '[' && isList) phase = 'list'
      else if (character === '{') startObject()
      else return fail()
      return 'more'
    },
    object(character) {
      if (character === '}') return endObject()
      if (character !== '"') return fail()
      phase = 'key'
      value = ''
      scanner = createJsonValueScanner()
      return readKey(character)
    },
    key: readKey,
    colon(character) {
      if (character !== ':') return fail()
      phase = 'value'
      scanner = createJsonValueScanner()
      value = ''
      return 'more'
    },
    value: (character) => (value === '' ? startValue(character) : readValue(character)),
    next: readNext,
    list(character) {
      if (character === '{') startObject()
      else if (character === ']') {
        phase = 'close'
        return close === '' ? (hasCall ? 'done' : fail()) : 'more'
      } else if (character !== ',') return fail()
      return 'more'
    },
    close: () => 'more',
    lost: () => 'more',
  }

  return {
    read(piece, isMark) {
      if (phase === 'close') return readClose(piece, isMark)
      const isInText = (phase === 'key' || phase === 'value') && scanner.isInText
      if (isMark && !isInText) return piece === close && hasCall ? 'done' : fail()
      if (phase === 'lost') return 'more'
      if (phase !== 'value' && !hasCall) headerLength += piece.length
      if (headerLength > maxHeaderLength) return fail()
      if (!isInText && phase !== 'value' && /^\s$/.test(piece)) return 'more'
      if (phase === 'value' && value === '' && /^\s$/.test(piece)) return 'more'
      let outcome: ReadOutcome = 'more'
      for (const character of piece) {
        outcome = steps[phase](character)
        if (outcome !== 'more') return outcome
      }
      return outcome
    },
    end() {
      // An answer that ends inside an argument text: what arrived is an incomplete call.
      if (phase === 'value' && isArgumentsKey(key) && isText && isStarted) sink.addArguments(value)
    },
  }
}
