import type { CallMarks } from './answer-family.js'
import type { CallReader, CallSink, FindSchema } from './call-reader.js'
import { createElementCallReader } from './element-call.js'
import { createJsonCallReader } from './json-call.js'
import { createLiteralCallReader } from './literal-call.js'
import { createNamedCallReader } from './named-call.js'

/**
 * Creates the reader of a family's calls.
 * @param toolNames the names of the request's tools
 */
export function createCallReader(
  { open, close, syntax }: CallMarks,
  toolNames: readonly string[],
  findSchema: FindSchema,
  sink: CallSink,
): CallReader {
  switch (syntax.kind) {
    case 'json':
    case 'json-list': {
      const isList = syntax.kind === 'json-list'
      const knownNames = open === '' ? toolNames : undefined
      return createJsonCallReader({ ...syntax, isList, close, knownNames }, sink)
    }
    case 'named': {
      const trimmed = { before: syntax.before.trim(), end: syntax.end.trim() }
      return createNamedCallReader({ ...trimmed, close }, sink)
    }
    case 'elements':
      return createElementCallReader(syntax, close, findSchema, sink)
    case 'python':
      return createLiteralCallReader(
        { style: 'python', quote: '', isList: syntax.isList, close },
        findSchema,
        sink,
      )
    case 'quoted':
      return createLiteralCallReader(
        { style: 'quoted', quote: syntax.quote, isList: false, close },
        findSchema,
        sink,
      )
  }
}
