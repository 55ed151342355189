import { maxHeaderLength, type CallReader, type CallSink, type ReadOutcome } from './call-reader.js'
import { createJsonValueScanner } from './json-value.js'

export interface NamedCallOptions {
  /** The text before the name, without white space around it. */
  readonly before: string
  /** The text after the arguments, before `close`. */
  readonly end: string
  readonly close: string
}

/** Where a name is in the text before the arguments: after `functions.`, before a number, a mark or a fence. */
const namePattern = /^\s*(?:functions\.)?([\w.-]{1,64}?)(?::\d+)?\s*(?:[<[`].*)?$/su

/** Creates a reader of calls that have the name before their arguments in JSON: `f[ARGS]{}`. */
export function createNamedCallReader({ before, end, close }: NamedCallOptions, sink: CallSink): CallReader {
  const scanner = createJsonValueScanner()
  let header = ''
  let trailer = ''
  let phase: 'header' | 'arguments' | 'close' = 'header'

  function readHeader(piece: string): ReadOutcome {
    if (piece !== '{') {
      header += piece
      return header.length > maxHeaderLength ? 'wrong' : 'more'
    }
    const start = before === '' ? 0 : header.indexOf(before)
    const name = start < 0 ? undefined : namePattern.exec(header.slice(start + before.length))?.[1]
    if (!name) return 'wrong'
    sink.startCall(name)
    phase = 'arguments'
    return readArguments(piece)
  }

  function readArguments(piece: string): ReadOutcome {
    for (const character of piece) {
      sink.addArguments(character)
      if (scanner.read(character) !== 'last') continue
      phase = 'close'
      return close === '' && end === '' ? 'done' : 'more'
    }
    return 'more'
  }

  function readClose(piece: string): ReadOutcome {
    if (piece === close && close !== '') return 'done'
    trailer += piece
    const rest = trailer.trim()
    if (!end.trim().startsWith(rest)) return 'other'
    return close === '' && rest === end.trim() ? 'done' : 'more'
  }

  return {
    read(piece, isMark) {
      if (phase === 'close') return readClose(piece)
      if (phase === 'header') return isMark && piece === close ? 'wrong' : readHeader(piece)
      // A mark inside a text of the arguments is a part of this text.
      if (isMark && !scanner.isInText) return piece === close ? 'done' : 'other'
      return readArguments(piece)
    },
    end() {},
  }
}
