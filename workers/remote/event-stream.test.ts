import { describe, expect, it } from 'vitest'
import { readEvents } from './event-stream.js'

const contents = ['{"text":"Once 🐉"}', '{"text":"upon a\u2028time"}', '[DONE]']

/** An answer in vLLM's format, with a byte order mark, a comment and an event name. */
function record(newline: string): Uint8Array {
  const lines = [
    '\uFEFF: keep-alive',
    '',
    `data: ${contents[0]}`,
    '',
    'event: message',
    `data:${contents[1]}`,
    '',
    `data: ${contents[2]}`,
    '',
    '',
  ]
  return new TextEncoder().encode(lines.join(newline))
}

async function read(pieces: readonly Uint8Array[]): Promise<string[]> {
  async function* send(): AsyncGenerator<Uint8Array, undefined> {
    yield* pieces
  }
  const events: string[] = []
  for await (const some of readEvents(send())) {
    events.push(...some.map((item) => (item.kind === 'event' ? item.data : item.line)))
  }
  return events
}

describe.each([
  ['line feeds', '\n'],
  ['carriage returns', '\r'],
  ['both', '\r\n'],
])('events with %s', (_, newline) => {
  const bytes = record(newline)

  it('are the same wherever their bytes are split', async () => {
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(await read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(contents)
    }
  })

  it('are the same if they arrive byte by byte', async () => {
    expect(await read(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(contents)
  })
})

describe('an event', () => {
  it.each(['', '\n', '\r', '\r\n'])(
    'without its blank line at the end of the connection is read: %j',
    async (end) => {
      expect(await read([new TextEncoder().encode(`data: one\n\ndata: two${end}`)])).toEqual(['one', 'two'])
    },
  )

  it('may stand between lines that are none, which are kept in order', async () => {
    const lines = 'data: one\n\nerror: {}\n{"a":1}\ndata: two\n\n'
    expect(await read([new TextEncoder().encode(lines)])).toEqual(['one', 'error: {}', '{"a":1}', 'two'])
  })

  it('can have at most 1 Mi characters', async () => {
    const piece = new TextEncoder().encode(`data: ${'a'.repeat(2 ** 18)}`)
    await expect(read([piece, ...Array.from({ length: 4 }, () => piece.subarray(6))])).rejects.toThrow(
      /1048576/,
    )
  })
})
