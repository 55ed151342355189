import { createParser } from 'eventsource-parser'

/** An event of a server that means no harm has a few hundred bytes. */
const maxEventLength = 2 ** 20

/**
 * Server-sent events (HTML Living Standard, 9.2): the data of each, however the bytes are cut.
 * @throws Error for an event above 1 MiB
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
  // Also takes the byte order mark away.
  const decoder = new TextDecoder()
  for await (const piece of pieces) {
    const text = decoder.decode(piece, { stream: true })
    parser.feed(text)
    lastCharacter = text.at(-1) ?? lastCharacter
    if (isTooLarge) throw new Error(`it sent an event above ${maxEventLength} characters.`)
    yield events.splice(0)
  }
  // A carriage return may be half of a line's end: the parser waits for the other half.
  if (lastCharacter === '\r') parser.feed('\n')
  yield events.splice(0)
}
