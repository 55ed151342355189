import type { RivuletError } from '../contract/errors.js'
import type { GenerateRequest } from '../contract/request.js'
import type { GenerationEvent, ModelInfo } from '../contract/worker-api.js'
import type { GenerationWorker } from '../resilient-events.js'
import type { RouteReason } from '../transcript.js'

/** A backend that can take part in a generation. */
export interface Racer {
  /** @throws RivuletError if its model cannot be loaded again */
  take(reason: RouteReason): Promise<GenerationWorker>
}

/**
 * Starts the backends one after the other, until one has a first token. The next one starts when one fails, or after
 * `firstTokenMs`. The winner continues, the others are cancelled.
 * @param firstTokenMs undefined if the next one starts only after a failure
 * @returns the winner. Its `generate` returns the stream that has begun
 * @throws RivuletError the error of the first backend if all fail; the reason of `signal`
 */
export function race(
  racers: readonly Racer[],
  firstReason: RouteReason,
  firstTokenMs: number | undefined,
  prepare: (info: ModelInfo) => GenerateRequest,
  signal: AbortSignal,
): Promise<GenerationWorker> {
  return new Promise((resolve, reject) => {
    const over = new AbortController()
    let started = 0
    let running = 0
    let firstError: unknown
    let timer: ReturnType<typeof setTimeout> | undefined

    function finish(settle: () => void): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      over.abort()
      settle()
    }
    const leave = () => finish(() => reject(signal.reason))

    function startNext(reason: RouteReason): void {
      clearTimeout(timer)
      const racer = racers[started]
      if (!racer) {
        if (running === 0) finish(() => reject(firstError))
        return
      }
      started += 1
      running += 1
      void run(racer, reason)
      if (firstTokenMs !== undefined) timer = setTimeout(() => startNext('slow'), firstTokenMs)
    }

    async function run(racer: Racer, reason: RouteReason): Promise<void> {
      let isRefused = false
      try {
        const worker = await racer.take(reason)
        if (over.signal.aborted) return
        const request = prepareOrRefuse(worker.info)
        const stream = await openToFirstChunk(worker, request, over.signal)
        if (over.signal.aborted) return
        finish(() => resolve({ ...worker, generate: () => Promise.resolve(stream) }))
      } catch (error) {
        if (over.signal.aborted) return
        running -= 1
        firstError ??= error
        startNext(isRefused ? 'unsupported' : 'failed')
      }

      function prepareOrRefuse(info: ModelInfo): GenerateRequest {
        isRefused = true
        const request = prepare(info)
        isRefused = false
        return request
      }
    }

    signal.addEventListener('abort', leave)
    if (signal.aborted) leave()
    else startNext(firstReason)
  })
}

/**
 * Starts a generation and reads it up to its first chunk, or to its end.
 * @param signal cancels it
 * @returns all its events
 * @throws RivuletError its failure before the first chunk; the reason why the worker was closed
 */
async function openToFirstChunk(
  worker: GenerationWorker,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<ReadableStream<GenerationEvent>> {
  const reader = (await worker.generate(request)).getReader()
  const leave = () => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  const events: GenerationEvent[] = []
  try {
    for (;;) {
      const { done, value } = await readUntilClosed(reader, worker.closed)
      if (done) break
      events.push(value)
      if (value.kind === 'chunk' || value.kind === 'ended') break
    }
  } finally {
    signal.removeEventListener('abort', leave)
  }
  return new ReadableStream(
    {
      async pull(controller) {
        const early = events.shift()
        if (early) return controller.enqueue(early)
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** Reads an event. @throws RivuletError the reason why the worker was closed */
function readUntilClosed(
  reader: ReadableStreamDefaultReader<GenerationEvent>,
  closed: AbortSignal,
): Promise<ReadableStreamReadResult<GenerationEvent>> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(closed.reason as RivuletError)
    closed.addEventListener('abort', fail, { once: true })
    if (closed.aborted) fail()
    reader
      .read()
      .then(resolve, reject)
      .finally(() => closed.removeEventListener('abort', fail))
  })
}
