import { readPropertyName } from './argument-types.js'
import {
  maxHeaderLength,
  type CallReader,
  type CallSink,
  type FindSchema,
  type ReadOutcome,
} from './call-reader.js'
import { createLiteralReader, type LiteralReader } from './literals.js'

export interface LiteralCallOptions {
  /** Python's `f(a=1)`, or Gemma's `call:f{a:1}`. */
  readonly style: 'python' | 'quoted'
  /** The token that encloses texts; empty in Python. */
  readonly quote: string
  /** True if brackets enclose the calls. */
  readonly isList: boolean
  readonly close: string
}

/** Creates a reader of calls whose arguments are literals of a language. */
export function createLiteralCallReader(
  { style, quote, isList, close }: LiteralCallOptions,
  findSchema: FindSchema,
  sink: CallSink,
): CallReader {
  const open = style === 'python' ? '(' : '{'
  let header = ''
  let literals: LiteralReader | undefined
  let phase: 'header' | 'arguments' | 'next' | 'close' = 'header'
  let hasCall = false

  const fail = (): ReadOutcome => (hasCall ? 'other' : 'wrong')

  function readHeader(piece: string): ReadOutcome {
    if (piece !== open) {
      header += piece
      return header.length > maxHeaderLength ? fail() : 'more'
    }
    const text = header.trim().replace(isList && !hasCall ? /^\[\s*/ : /^/, '')
    const pattern = style === 'python' ? /^([\w.-]{1,64})$/ : /^call:\s*([\w.-]{1,64})$/
    const name = pattern.exec(text)?.[1]
    if (name === undefined) return fail()
    hasCall = true
    sink.startCall(name)
    literals = createLiteralReader(
      { style, quote, nameAt: (position) => readPropertyName(findSchema(name), position) },
      (json) => sink.addArguments(json),
    )
    header = ''
    phase = 'arguments'
    return 'more'
  }

  function endArguments(): ReadOutcome {
    phase = isList || close === '' ? 'next' : 'close'
    return close === '' && !isList ? 'done' : 'more'
  }

  function readNext(piece: string): ReadOutcome {
    if (piece.trim() === '') return 'more'
    if (piece === ',') phase = 'header'
    else if (piece === ']') {
      phase = 'close'
      return close === '' ? 'done' : 'more'
    } else return 'other'
    return 'more'
  }

  return {
    read(piece, isMark) {
      if (phase === 'arguments' && literals) {
        if (isMark && piece === close && !literals.isInText) return 'done'
        return literals.read(piece) === 'last' ? endArguments() : 'more'
      }
      if (isMark) return piece === close && hasCall ? 'done' : fail()
      if (phase === 'header') return readHeader(piece)
      if (phase === 'next') return readNext(piece)
      // Without brackets, another call can follow in the same marks, on a line of its own.
      if (piece.trim() === '') return 'more'
      phase = 'header'
      return style === 'python' && !isList ? readHeader(piece) : 'other'
    },
    end() {
      literals?.cut()
    },
  }
}
