/** How long a computation may keep the worker from its messages, in milliseconds. */
const sliceMs = 20

/**
 * Runs a computation that yields now and then. Pauses it every 20 ms, so that the worker handles its messages in between,
 * such as a cancel.
 * @throws the reason of `signal` if it is aborted; an error of the computation
 */
export async function runSlices<Result>(
  computation: Generator<undefined, Result, undefined>,
  signal?: AbortSignal,
): Promise<Result> {
  let startedAt = performance.now()
  for (;;) {
    const { done, value } = computation.next()
    if (done) return value
    if (performance.now() - startedAt < sliceMs) continue
    // Messages are macrotasks: a resolved promise would not let them in.
    await new Promise((resolve) => setTimeout(resolve))
    signal?.throwIfAborted()
    startedAt = performance.now()
  }
}
