import { createParser } from 'eventsource-parser'

/**
 * The maximum length of an event, in characters. Normal events have a few hundred bytes; the limit protects the memory from
 * a faulty server.
 */
const maxEventLength = 2 ** 20

/**
 * Reads the data of server-sent events (HTML Living Standard, 9.2). The network may split the bytes of an event anywhere.
 * @throws Error for an event of more than 2^20 characters
 */
export async function* readEvents(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly string[], undefined> {
  const events: string[] = []
  let isTooLarge = false
  let lastCharacter = ''
  const parser = createParser({
    maxBufferSize: maxEventLength,
    onEvent: ({ data }) => events.push(data),
    onError: ({ type }) => (isTooLarge ||= type === 'max-buffer-size-exceeded'),
  })
  // The decoder also removes a byte order mark.
  const decoder = new TextDecoder()
  for await (const piece of pieces) {
    const text = decoder.decode(piece, { stream: true })
    parser.feed(text)
    lastCharacter = text.at(-1) ?? lastCharacter
    if (isTooLarge) throw new Error(`it sent an event of more than ${maxEventLength} characters.`)
    yield events.splice(0)
  }
  // After a carriage return the parser waits for a line feed, which may not follow.
  if (lastCharacter === '\r') parser.feed('\n')
  yield events.splice(0)
}
