import { createParser } from 'eventsource-parser'

/**
 * The maximum length of an event, in characters. Normal events have a few hundred bytes; the limit protects the memory from
 * a faulty server.
 */
const maxEventLength = 2 ** 20

/** A part of a server's answer. */
export type StreamItem =
  | {
      readonly kind: 'event'
      /** The name of the event; undefined if it has none. */
      readonly name: string | undefined
      readonly data: string
      /** True for an event that the connection's end completed: its blank line is missing, and perhaps the rest of its data. */
      readonly isLast: boolean
    }
  /** A line that is not part of an event: a JSON line, or a line of a body that is not an event stream. */
  | { readonly kind: 'line'; readonly line: string; readonly isLast: boolean }

/**
 * Reads server-sent events (HTML Living Standard, 9.2), and the lines that are none. The network may split the bytes
 * anywhere. Unlike in the standard, an event without its blank line at the end of the connection is not dropped.
 * @throws Error for an event of more than 2^20 characters
 */
export async function* readEvents(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly StreamItem[], undefined> {
  const items: StreamItem[] = []
  let isTooLarge = false
  let isLast = false
  const parser = createParser({
    maxBufferSize: maxEventLength,
    onEvent: ({ event: name, data }) => items.push({ kind: 'event', name, data, isLast }),
    onError({ type, line }) {
      isTooLarge ||= type === 'max-buffer-size-exceeded'
      if (line !== undefined) items.push({ kind: 'line', line, isLast })
    },
  })
  // The decoder also removes a byte order mark.
  const decoder = new TextDecoder()
  for await (const piece of pieces) {
    parser.feed(decoder.decode(piece, { stream: true }))
    if (isTooLarge) throw new Error(`it sent an event of more than ${maxEventLength} characters.`)
    yield items.splice(0)
  }
  isLast = true
  // Ends the last line and the last event. A carriage return is still waiting for its line feed.
  parser.feed(`${decoder.decode()}\n\n`)
  yield items.splice(0)
}
