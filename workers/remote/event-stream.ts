import { createParser } from 'eventsource-parser'

/** In characters. Normal events have a few hundred bytes; the limit protects the memory from a faulty server. */
const maxEventLength = 2 ** 20

/**
 * Reads the data of server-sent events (HTML Living Standard, 9.2), wherever the network splits their bytes.
 * @throws Error for an event above 1 Mi characters
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
  // Also removes the byte order mark.
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
