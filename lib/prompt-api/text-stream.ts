/** A stream whose chunks wait for its reader. */
export interface HeldStream<Chunk> {
  readonly stream: ReadableStream<Chunk>
  /** Aborts when the reader cancels the stream. */
  readonly cancelled: AbortSignal
  /** Adds a chunk. Resolves at once after `release`, and otherwise when the reader wants another chunk. */
  write(chunk: Chunk): Promise<void>
  /** From now on, chunks do not wait for the reader: something else waits for the model. */
  release(): void
  close(): void
  fail(error: unknown): void
}

export function createHeldStream<Chunk>(): HeldStream<Chunk> {
  const cancelling = new AbortController()
  let controller: ReadableStreamDefaultController<Chunk> | undefined
  let isWanted = false
  let isReleased = false
  let isOver = false
  let wake = () => {}

  const stream = new ReadableStream<Chunk>(
    {
      start(started) {
        controller = started
      },
      pull() {
        isWanted = true
        wake()
      },
      cancel(reason) {
        isOver = true
        wake()
        cancelling.abort(reason)
      },
    },
    { highWaterMark: 0 },
  )

  return {
    stream,
    cancelled: cancelling.signal,
    async write(chunk) {
      while (!isWanted && !isReleased && !isOver) await new Promise<void>((resolve) => (wake = resolve))
      if (isOver) return
      isWanted = false
      controller?.enqueue(chunk)
    },
    release() {
      isReleased = true
      wake()
    },
    close() {
      if (!isOver) controller?.close()
      isOver = true
      wake()
    },
    fail(error) {
      if (!isOver) controller?.error(error)
      isOver = true
      wake()
    },
  }
}
