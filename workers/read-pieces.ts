/** A copy of a network buffer each; larger ones save calls, not time. */
const pieceBytes = 2 ** 18

/**
 * The pieces of a body as they come, each to be used before the next is asked for.
 * The browser writes all of them into one buffer: pieces of its own would be garbage, of the file's size in all.
 */
export async function* readPieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  const byob = openByteReader(body)
  const reader = byob ?? body.getReader()
  let buffer = new ArrayBuffer(byob ? pieceBytes : 0)
  const read = () =>
    byob ? byob.read(new Uint8Array(buffer)) : (reader as ReadableStreamDefaultReader).read()
  try {
    for (;;) {
      const { done, value } = await read()
      if (done) return
      yield value
      // A read hands the buffer over, and back in `value`.
      if (byob) buffer = value.buffer as ArrayBuffer
    }
  } finally {
    // Whoever stops early wants no more of it; a body that has failed has said so.
    reader.cancel().catch(() => {})
  }
}

/** Safari before 26 has no such readers. */
function openByteReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}
