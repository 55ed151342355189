/** The buffer size for one piece. Each piece is a copy of a network buffer; larger pieces save calls, but no time. */
const pieceBytes = 2 ** 18

/**
 * Reads a body in pieces as they arrive. Use each piece before you request the next one: the browser writes all pieces into
 * the same buffer. With separate buffers, the garbage would be as large as the file.
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
      // A read detaches the buffer and returns it in `value`.
      if (byob) buffer = value.buffer as ArrayBuffer
    }
  } finally {
    // Frees the connection when the caller stops early. `cancel` rejects if the body has failed, but `read` has already
    // reported that error.
    reader.cancel().catch(() => {})
  }
}

/** Returns a BYOB reader; undefined if the browser has no BYOB readers (Safari before 26). */
function openByteReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}
