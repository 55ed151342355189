import type { ElementMarks } from './answer-family.js'
import { isOnlyText, readPropertyTypes, toJson, type ValueTypes } from './argument-types.js'
import {
  maxHeaderLength,
  maxHeldValueLength,
  type CallReader,
  type CallSink,
  type FindSchema,
  type ReadOutcome,
} from './call-reader.js'

type Phase = 'open' | 'name' | 'between' | 'key' | 'to-value' | 'value' | 'close'

/** Creates a reader of calls with one element for each argument: `<parameter=city>Köln</parameter>`. */
export function createElementCallReader(
  marks: ElementMarks,
  close: string,
  findSchema: FindSchema,
  sink: CallSink,
): CallReader {
  let phase: Phase = marks.open === '' ? 'name' : 'open'
  let header = ''
  let name = ''
  let key = ''
  let count = 0
  let types: ValueTypes = new Set()
  const value = createValueWriter(marks.hasValueLines, sink)

  function startCall(text: string): ReadOutcome {
    name = text.trim()
    if (!/^[\w.-]{1,64}$/.test(name)) return 'wrong'
    sink.startCall(name)
    phase = 'between'
    return 'more'
  }

  function readName(piece: string, isMark: boolean): ReadOutcome {
    if (isMark && piece === marks.keyOpen) {
      const outcome = startCall(header)
      return outcome === 'more' ? readBetween(piece, true) : outcome
    }
    if (isMark && piece === close) {
      const outcome = startCall(header)
      return outcome === 'more' ? endCall() : outcome
    }
    header += piece
    if (header.length > maxHeaderLength) return 'wrong'
    const isNamed = header.endsWith(marks.nameEnd) && header.trim() !== ''
    return isNamed ? startCall(header.slice(0, -marks.nameEnd.length)) : 'more'
  }

  function endCall(): ReadOutcome {
    sink.addArguments(count === 0 ? '{}' : '}')
    return 'done'
  }

  function readBetween(piece: string, isMark: boolean): ReadOutcome {
    if (isMark && piece === marks.keyOpen) {
      phase = 'key'
      key = ''
    } else if (isMark && piece === close && close !== '') return endCall()
    else if (isMark && piece === marks.end) {
      if (close === '') return endCall()
      endCall()
      phase = 'close'
    }
    return 'more'
  }

  function startValue(): ReadOutcome {
    types = readPropertyTypes(findSchema(name), key)
    sink.addArguments(`${count === 0 ? '{' : ', '}${JSON.stringify(key)}: `)
    count += 1
    value.start(types)
    phase = 'value'
    return 'more'
  }

  function readKey(piece: string): ReadOutcome {
    key += piece
    if (!key.endsWith(marks.keyEnd)) return 'more'
    key = key.slice(0, -marks.keyEnd.length).trim()
    if (marks.valueOpen === '') return startValue()
    phase = 'to-value'
    return 'more'
  }

  return {
    read(piece, isMark) {
      if (phase === 'value') {
        if (!isMark || piece !== marks.valueEnd) value.add(piece)
        else {
          value.end()
          phase = 'between'
        }
        return 'more'
      }
      if (phase === 'name') return readName(piece, isMark)
      if (phase === 'key') return readKey(piece)
      if (phase === 'between') return readBetween(piece, isMark)
      if (phase === 'to-value') return isMark && piece === marks.valueOpen ? startValue() : 'more'
      if (phase === 'open') {
        if (isMark && piece === marks.open) phase = 'name'
        else if (isMark || piece.trim() !== '') return 'wrong'
        return 'more'
      }
      if (isMark && piece === close) return 'done'
      return !isMark && piece.trim() === '' ? 'more' : 'other'
    },
    end() {
      if (phase === 'value') value.cut()
    },
  }
}

/** Writes one value as JSON: a text as it arrives, anything else when it is complete. */
function createValueWriter(hasLines: boolean, sink: CallSink) {
  let types: ValueTypes = new Set()
  let held = ''
  let isText = false
  let isFirst = true
  /** A line break that can be the end of the value. */
  let lineBreak = ''

  function write(text: string): void {
    if (isText) sink.addArguments(JSON.stringify(text).slice(1, -1))
    else held += text
    if (isText || held.length <= maxHeldValueLength) return
    startText()
    write(held)
    held = ''
  }

  function startText(): void {
    isText = true
    sink.addArguments('"')
  }

  return {
    start(valueTypes: ValueTypes) {
      types = valueTypes
      held = ''
      isText = false
      isFirst = true
      lineBreak = ''
      if (isOnlyText(types)) startText()
    },
    add(text: string) {
      if (hasLines && isFirst && text === '\n') {
        isFirst = false
        return
      }
      isFirst = false
      if (lineBreak !== '') write(lineBreak)
      lineBreak = hasLines && text === '\n' ? text : ''
      if (lineBreak === '') write(text)
    },
    end() {
      sink.addArguments(isText ? '"' : toJson(held, types))
    },
    /** The answer ends inside the value. */
    cut() {
      if (!isText && held !== '') sink.addArguments(held)
    },
  }
}
