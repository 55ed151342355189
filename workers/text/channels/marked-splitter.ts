import type { RequestTool } from '../../../lib/contract/request.js'
import type { AnswerFamily } from './answer-family.js'
import type { CallReader, FindSchema } from './call-reader.js'
import { createCallReader } from './create-call-reader.js'
import { createHeldSpace } from './held-space.js'
import { createMarkLexer, type Unit } from './mark-lexer.js'
import { createPartCollector, type AnswerSplitter } from './split-answer.js'

type MarkedFamily = Extract<AnswerFamily, { kind: 'marked' }>

interface MarkedOptions {
  readonly tools: readonly RequestTool[]
  readonly startsInThought: boolean
  readonly startsInText: boolean
  readonly createId: () => string
  readonly firstCall: number
}

/**
 * Where the splitter is. `start`: before the answer's text, where a thought can open; `text`; `thought`; `call`: inside a call
 * whose text is held back until its name is known.
 */
type Place = 'start' | 'text' | 'thought' | 'call'

/** Creates the splitter of families with marks around thoughts and calls. */
export function createMarkedSplitter(
  { thought, calls }: MarkedFamily,
  marks: readonly string[],
  isControl: (text: string) => boolean,
  { tools, startsInThought, startsInText, createId, firstCall }: MarkedOptions,
): AnswerSplitter {
  const collector = createPartCollector(createId, firstCall)
  const lexer = createMarkLexer(marks, isControl)
  const space = createHeldSpace()
  const callMarks = tools.length > 0 ? calls : undefined
  const toolNames = tools.map(({ name }) => name)
  const findSchema: FindSchema = (name) => tools.find((tool) => tool.name === name)?.parameters
  const isCallMark = (mark: string) =>
    callMarks !== undefined && (mark === callMarks.open || mark === callMarks.otherOpen)
  const isSection = (mark: string) =>
    callMarks?.section !== undefined && (mark === callMarks.section.open || mark === callMarks.section.close)
  let place: Place = startsInThought ? 'thought' : startsInText ? 'text' : 'start'
  /** True where white space belongs to the mark before it. */
  let dropsSpace = startsInThought
  /** The text after the mark of a thought, while it can be the family's word; otherwise undefined. */
  let label: string | undefined
  let reader: CallReader | undefined
  /** The pieces of a call before its name is known; undefined after that. */
  let heldCall: string[] | undefined
  let hasThought = startsInThought

  function addMark(mark: string): void {
    collector.add('mark', space.take() + mark)
    dropsSpace = true
  }

  /** True if a mark can follow the text, whose space then belongs to the mark. */
  function canMarkFollow(): boolean {
    if (callMarks || (hasThought && thought?.answer)) return true
    return thought !== undefined && (place === 'start' || isControl(thought.open))
  }

  /** Adds text to a channel. The white space at its ends belongs to the marks around it. */
  function addText(kind: 'text' | 'reasoning', text: string): void {
    let rest = text
    if (dropsSpace) {
      rest = text.trimStart()
      collector.add('mark', text.slice(0, text.length - rest.length))
      if (rest === '') return
      dropsSpace = false
    }
    collector.add(kind, kind === 'reasoning' || canMarkFollow() ? space.push(rest) : space.take() + rest)
  }

  function openThought(mark: string): void {
    addMark(mark)
    place = 'thought'
    label = ''
    hasThought = true
  }

  function readThoughtMark(mark: string): void {
    if (label !== undefined) endLabel()
    if (mark === thought?.close) {
      addMark(mark)
      place = 'start'
    } else if (mark === thought?.open && dropsSpace) addMark(mark)
    else if (isControl(mark) && (isCallMark(mark) || isSection(mark))) {
      // A call ends a thought that has no mark at its end.
      place = 'start'
      readTextMark(mark)
    } else readThoughtText(mark)
  }

  function readThoughtText(text: string): void {
    if (label === undefined || thought?.label === undefined) {
      addText('reasoning', text)
      return
    }
    label += text
    // The word is only complete with the space after it.
    if (!thought.label.startsWith(label)) endLabel()
  }

  /** Drops the family's word after the mark, as Gemma 4's `thought`. */
  function endLabel(): void {
    const text = label ?? ''
    label = undefined
    const word = thought?.label ?? ''
    const isWord = text.startsWith(word) && /^(?:\s|$)/.test(text.slice(word.length))
    collector.add('mark', isWord ? word : '')
    addText('reasoning', isWord ? text.slice(word.length) : text)
  }

  function readTextMark(mark: string): void {
    const isStart = place === 'start'
    if (mark === thought?.open && (isStart || isControl(mark))) openThought(mark)
    else if (mark === thought?.close && (isStart || isControl(mark))) addMark(mark)
    else if (hasThought && (mark === thought?.answer?.open ? isStart : mark === thought?.answer?.close))
      addMark(mark)
    else if (isSection(mark)) addMark(mark)
    else if (isCallMark(mark) && mark !== '') startCall(mark)
    else if (isControl(mark)) readControl(mark)
    else readText(mark)
  }

  function readText(text: string): void {
    const isBare = callMarks?.open === '' && place === 'start'
    const start = isBare ? text.search(/\S/) : -1
    if (isBare && start >= 0 && (text[start] === '{' || text[start] === '[')) {
      addText('text', text.slice(0, start))
      startCall('')
      readCallText(text.slice(start))
      return
    }
    const isAfterCall = isBare && collector.calls > firstCall && start >= 0 && text[start] === ';'
    if (isAfterCall) {
      collector.add('mark', text.slice(0, start + 1))
      readText(text.slice(start + 1))
      return
    }
    addText('text', text)
    if (text.trim() !== '') place = 'text'
  }

  function readControl(token: string): void {
    if (place !== 'thought') {
      collector.add('text', space.take())
      collector.addControl(token)
    }
  }

  function startCall(mark: string): void {
    if (callMarks === undefined) return
    // The space and the mark become text if this is not a call.
    heldCall = [space.take(), mark]
    place = 'call'
    reader = createCallReader(callMarks, toolNames, findSchema, {
      startCall(name) {
        collector.add('mark', (heldCall ?? []).join(''))
        heldCall = undefined
        collector.startCall(name)
      },
      addArguments: (json) => collector.addArguments(json),
    })
  }

  function endCall(): void {
    reader = undefined
    place = 'start'
    dropsSpace = true
  }

  function refuseCall(): void {
    const pieces = heldCall ?? []
    reader = undefined
    heldCall = undefined
    place = 'text'
    // A control token never becomes text.
    for (const piece of pieces) {
      if (isControl(piece)) addMark(piece)
      else addText('text', piece)
    }
  }

  /** Reads a piece of a call. @returns false if the call has ended before the piece */
  function readCallPiece(piece: string, isMark: boolean): boolean {
    const outcome = reader?.read(piece, isMark)
    if (outcome === 'other') {
      endCall()
      return false
    }
    if (heldCall === undefined) collector.add('mark', piece)
    else heldCall.push(piece)
    if (outcome === 'wrong') refuseCall()
    else if (outcome === 'done') endCall()
    return true
  }

  function readCallText(text: string): void {
    let index = 0
    for (const character of text) {
      if (place !== 'call' || !readCallPiece(character, false)) {
        readUnit({ kind: 'text', text: text.slice(index) })
        return
      }
      index += character.length
    }
  }

  function readUnit({ kind, text }: Unit): void {
    if (place === 'call') {
      if (kind === 'text') readCallText(text)
      else if (kind === 'mark' && !readCallPiece(text, true)) readUnit({ kind, text })
    } else if (kind === 'control') readControl(text)
    else if (place === 'thought') {
      if (kind === 'mark') readThoughtMark(text)
      else readThoughtText(text)
    } else if (kind === 'mark') readTextMark(text)
    else readText(text)
  }

  function read(units: readonly Unit[]) {
    for (const unit of units) readUnit(unit)
    return collector.take()
  }

  return {
    push(text) {
      return read(lexer.push(text))
    },
    pushControl: (token) => read(lexer.pushControl(token)),
    flush() {
      for (const unit of lexer.flush()) readUnit(unit)
      if (place === 'call') {
        reader?.end()
        if (heldCall !== undefined) refuseCall()
      }
      if (label !== undefined) endLabel()
      collector.add(place === 'thought' ? 'reasoning' : 'text', space.take())
      return collector.take()
    },
    get channel() {
      if (place === 'thought') return 'reasoning'
      return place === 'call' ? 'tool-calls' : 'text'
    },
    get calls() {
      return collector.calls
    },
  }
}
