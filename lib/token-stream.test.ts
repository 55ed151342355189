import { describe, expect, it } from 'vitest'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest, Resume } from './contract/request.js'
import type { GenerationEvent, ModelInfo, TokenChunk } from './contract/worker-api.js'
import type { GenerationOptions } from './generation.js'
import { allSupport } from './model-support.test-support.js'
import type { GenerationOutcome } from './observer.js'
import type { GenerationWorker } from './resilient-events.js'
import { TokenStream } from './token-stream.js'

/** Stands in for a worker: streams a scripted generation as fast as it is pulled. */
function scriptEvents(
  words: readonly (string | { readonly text: string; readonly id: number })[],
  end: 'stop' | 'length' | Error | 'silence' = 'stop',
) {
  const seen = { pulls: 0, isCancelled: false }
  const events: (GenerationEvent | Error)[] = [
    { kind: 'started', promptTokens: 7, cachedPromptTokens: 3, queueMs: 1, prefillMs: 2 },
    ...words.map((word, index): GenerationEvent => {
      const { text, id } = typeof word === 'string' ? { text: word, id: index } : word
      return { kind: 'chunk', text, tokenIds: [id], tokenCount: 1 }
    }),
  ]
  if (end instanceof Error) events.push(end)
  else if (end !== 'silence') events.push({ kind: 'ended', finishReason: end })
  const stream = new ReadableStream<GenerationEvent>(
    {
      async pull(controller) {
        const event = events[seen.pulls]
        seen.pulls += 1
        if (event instanceof Error) throw event
        if (event) controller.enqueue(event)
        else await new Promise(() => {})
      },
      cancel() {
        seen.isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { seen, stream }
}

const info: ModelInfo = {
  model: 'https://models.example/scripted/',
  backend: 'scripted',
  device: 'wasm',
  deviceDescription: 'none',
  dtype: 'none',
  host: 'tab',
  execution: 'growing-cache',
  warnings: [],
  contextLength: 100,
  supports: allSupport,
}

/** A worker that stays alive, with no other backend. */
function offer(
  generate: GenerationWorker['generate'],
  changes: Partial<GenerationWorker> = {},
): GenerationWorker {
  const closed = new AbortController().signal
  return { info, generate, closed, terminate() {}, switchBackend: () => false, ...changes }
}

/** The engine's rule, for a request that every model takes. */
function createRequest({ supports }: ModelInfo, resume: Resume | undefined): GenerateRequest {
  if (resume && !supports.continuation) throw new RivuletError('invalid-option', 'cannot resume')
  return { input: { kind: 'text', text: 'Hi' }, resume, options: { stop: [] } }
}

/** A stream with what no test here changes. */
function openStream(options: Partial<GenerationOptions> & Pick<GenerationOptions, 'takeWorker'>) {
  const disposed = new AbortController().signal
  return new TokenStream({ createRequest, canRecover: true, signal: undefined, disposed, ...options })
}

function startStream(
  stream: ReadableStream<GenerationEvent> | Promise<ReadableStream<GenerationEvent>>,
  {
    signal,
    closed = new AbortController(),
    disposed = new AbortController(),
    onEnd,
  }: {
    signal?: AbortSignal
    onEnd?: GenerationOptions['onEnd']
    closed?: AbortController
    disposed?: AbortController
  } = {},
) {
  return openStream({
    takeWorker: async () => offer(async () => stream, { closed: closed.signal }),
    canRecover: false,
    signal,
    disposed: disposed.signal,
    onEnd,
  })
}

const words = ['Once', ' upon', ' a', ' time']
const nextTask = () => new Promise((resolve) => setTimeout(resolve, 10))

async function readTexts(stream: TokenStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk.text
  return text
}

describe('reading a token stream', () => {
  it('gives a real ReadableStream whose chunks joined are the result', async () => {
    const stream = startStream(scriptEvents(words).stream)
    expect(stream).toBeInstanceOf(ReadableStream)
    const parts: string[] = []
    await stream.pipeTo(new WritableStream({ write: (chunk) => void parts.push(chunk.text) }))
    const result = await stream.result
    expect(parts).toEqual(words)
    expect(result.text).toBe(words.join(''))
    expect(result).toMatchObject({
      finishReason: 'stop',
      usage: { promptTokens: 7, cachedPromptTokens: 3, completionTokens: 4 },
    })
  })

  it('distinguishes an end by length from an end by stop', async () => {
    const stream = startStream(scriptEvents(words, 'length').stream)
    await stream.text()
    expect((await stream.result).finishReason).toBe('length')
  })

  it('can be iterated where the streams of the platform cannot', async () => {
    const native = Object.getOwnPropertyDescriptor(ReadableStream.prototype, Symbol.asyncIterator)
    Reflect.deleteProperty(ReadableStream.prototype, Symbol.asyncIterator)
    try {
      expect(await readTexts(startStream(scriptEvents(words).stream))).toBe(words.join(''))
    } finally {
      if (native) Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, native)
    }
  })

  it('asks the worker for no token while nobody reads', async () => {
    const { seen, stream } = scriptEvents(words)
    startStream(stream)
    await nextTask()
    // "started"
    expect(seen.pulls).toBe(1)
  })

  it('runs to its end if only the result is used, and keeps the chunks for a later reader', async () => {
    const stream = startStream(scriptEvents(words).stream)
    expect((await stream.result).text).toBe(words.join(''))
    expect(await readTexts(stream)).toBe(words.join(''))
  })

  it('keeps the pace of a reader that asked for the result first', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const stream = startStream(events)
    const { result } = stream
    const reader = stream.getReader()
    await reader.read()
    await nextTask()
    // "started" and one chunk.
    expect(seen.pulls).toBe(2)
    reader.releaseLock()
    await readTexts(stream)
    expect((await result).text).toBe(words.join(''))
  })
})

describe('iterating a token stream', () => {
  it('locks it at once, as the platform does', () => {
    const stream = startStream(scriptEvents(words).stream)
    stream[Symbol.asyncIterator]()
    expect(stream.locked).toBe(true)
  })

  it('cancels it by return() before the first next()', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const stream = startStream(events)
    const iterator = stream[Symbol.asyncIterator]()
    await nextTask()
    expect(await iterator.return('enough')).toEqual({ done: true, value: undefined })
    expect(await stream.result).toMatchObject({ text: '', finishReason: 'cancelled', cancelReason: 'enough' })
    await nextTask()
    expect(seen.isCancelled).toBe(true)
    expect(stream.locked).toBe(false)
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('cancels it by return() while a next() is pending, which then ends', async () => {
    const stream = startStream(scriptEvents([], 'silence').stream)
    const iterator = stream.values()
    const next = iterator.next()
    await nextTask()
    await iterator.return()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await stream.result).toMatchObject({ finishReason: 'cancelled' })
  })

  it('releases it by return() with "preventCancel", for another reader', async () => {
    const stream = startStream(scriptEvents(words).stream)
    const iterator = stream.values({ preventCancel: true })
    expect((await iterator.next()).value?.text).toBe('Once')
    await iterator.return()
    expect(await readTexts(stream)).toBe(' upon a time')
  })

  it('through ReadableStream.from() cancels it with its reason', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const stream = startStream(events)
    // Chromium 156 does not have it yet.
    const { from } = ReadableStream as unknown as { from(source: TokenStream): ReadableStream<TokenChunk> }
    const copy = from(stream)
    await nextTask()
    await copy.cancel('left')
    expect(await stream.result).toMatchObject({ finishReason: 'cancelled', cancelReason: 'left' })
    await nextTask()
    expect(seen.isCancelled).toBe(true)
  })

  it('answers two calls of next() in order', async () => {
    const iterator = startStream(scriptEvents(words).stream).values()
    const texts = await Promise.all([iterator.next(), iterator.next()])
    expect(texts.map(({ value }) => value?.text)).toEqual(['Once', ' upon'])
  })

  it('throws the error of the stream once, then ends', async () => {
    const iterator = startStream(
      scriptEvents([], new RivuletError('generation-failed', 'broken')).stream,
    ).values()
    await expect(iterator.next()).rejects.toMatchObject({ code: 'generation-failed' })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })
})

describe('the end of a token stream', () => {
  async function observeEnd(end: 'stop' | Error, leave: (stream: TokenStream) => Promise<unknown>) {
    const ends: GenerationOutcome[] = []
    const stream = startStream(scriptEvents(words, end).stream, { onEnd: (outcome) => ends.push(outcome) })
    await leave(stream)
    await stream.result.catch(() => {})
    await stream.cancel().catch(() => {})
    return ends
  }

  it.each([
    ['finished', 'stop', (stream: TokenStream) => stream.text()],
    ['cancelled', 'stop', (stream: TokenStream) => stream.cancel()],
    [
      'failed',
      new RivuletError('generation-failed', 'broke'),
      (stream: TokenStream) => stream.text().catch(() => {}),
    ],
  ] as const)('is reported once when it is %s, with its figures', async (how, end, leave) => {
    const ends = await observeEnd(end, leave)
    expect(ends).toHaveLength(1)
    const [outcome] = ends as [GenerationOutcome]
    const isFailed = outcome.kind === 'failed'
    const { usage, latency } = isFailed ? outcome.figures : outcome.result
    expect(isFailed ? 'failed' : outcome.result.finishReason).toBe(how === 'finished' ? 'stop' : how)
    expect(usage.completionTokens).toBe(how === 'cancelled' ? 0 : words.length)
    expect(latency.timeToFirstTokenMs === undefined).toBe(how === 'cancelled')
  })
})

describe('a chunk of a token stream', () => {
  it('is reported when its reader gets it, with the recoveries so far', async () => {
    const delivered: number[] = []
    const stream = openStream({
      takeWorker: async () => offer(async () => scriptEvents(words).stream),
      onChunk: ({ chunk, unreadChunks, recoveries }) => {
        expect({ unreadChunks, recoveries }).toEqual({ unreadChunks: 0, recoveries: 0 })
        delivered.push(chunk.index)
      },
    })
    const reader = stream.getReader()
    await reader.read()
    await nextTask()
    expect(delivered).toEqual([0])
    await reader.cancel()
  })

  it('is not reported if nobody reads it', async () => {
    const delivered: number[] = []
    const stream = openStream({
      takeWorker: async () => offer(async () => scriptEvents(words).stream),
      onChunk: ({ chunk }) => delivered.push(chunk.index),
    })
    await stream.result
    await stream.cancel()
    expect(delivered).toEqual([])
  })
})

describe('cancelling a token stream', () => {
  const ways: Record<string, (stream: TokenStream) => Promise<unknown>> = {
    'cancel()': async (stream) => {
      const reader = stream.getReader()
      await reader.read()
      await stream.cancel()
      expect(await reader.read()).toEqual({ done: true, value: undefined })
    },
    "its reader's cancel()": async (stream) => {
      const reader = stream.getReader()
      await reader.read()
      await reader.cancel()
    },
    break: async (stream) => {
      for await (const _ of stream) break
    },
    'a throw in the loop': async (stream) => {
      const loop = async () => {
        for await (const _ of stream) throw new Error('mine')
      }
      await expect(loop()).rejects.toThrow('mine')
    },
  }
  for (const [name, leave] of Object.entries(ways)) {
    it(`by ${name} resolves the result with the text so far, and frees the worker`, async () => {
      const { seen, stream: events } = scriptEvents(words)
      const stream = startStream(events)
      await leave(stream)
      expect(await stream.result).toMatchObject({ text: 'Once', finishReason: 'cancelled' })
      await nextTask()
      expect(seen.isCancelled).toBe(true)
      expect(seen.pulls).toBe(2)
    })
  }

  it('by signal errors the stream with the reason of the signal', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const abort = new AbortController()
    const stream = startStream(events, { signal: abort.signal })
    const reader = stream.getReader()
    await reader.read()
    abort.abort(new Error('enough'))
    await expect(reader.read()).rejects.toThrow('enough')
    const reason = new Error('enough')
    expect(await stream.result).toMatchObject({
      text: 'Once',
      finishReason: 'cancelled',
      cancelReason: reason,
    })
    await nextTask()
    expect(seen.isCancelled).toBe(true)
  })

  it('by an already aborted signal starts nothing', async () => {
    let isOpened = false
    const stream = openStream({
      takeWorker: () => {
        isOpened = true
        return Promise.reject(new Error('not to be opened'))
      },
      signal: AbortSignal.abort(new Error('before')),
    })
    await expect(readTexts(stream)).rejects.toThrow('before')
    expect(await stream.result).toMatchObject({ text: '', finishReason: 'cancelled' })
    expect(isOpened).toBe(false)
  })

  it('before the worker has answered still frees the worker', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const stream = startStream(nextTask().then(() => events))
    await new Promise((resolve) => setTimeout(resolve))
    await stream.cancel()
    expect((await stream.result).finishReason).toBe('cancelled')
    await nextTask()
    await nextTask()
    expect(seen).toEqual({ pulls: 0, isCancelled: true })
  })

  it('by disposing the engine ends the loop', async () => {
    const disposed = new AbortController()
    const stream = startStream(scriptEvents(words, 'silence').stream, { disposed })
    const text = readTexts(stream)
    await nextTask()
    disposed.abort()
    expect(await text).toBe(words.join(''))
    expect((await stream.result).finishReason).toBe('cancelled')
  })
})

describe('a token stream that fails', () => {
  it('gives the reader all chunks, then the error with their text', async () => {
    const stream = startStream(scriptEvents(words, new RivuletError('generation-failed', 'broken')).stream)
    let text = ''
    const read = async () => {
      for await (const chunk of stream) text += chunk.text
    }
    await expect(read()).rejects.toMatchObject({ code: 'generation-failed', text: words.join('') })
    expect(text).toBe(words.join(''))
    await expect(stream.result).rejects.toMatchObject({ code: 'generation-failed', text: words.join('') })
  })

  it('loses no chunk when only the result was used', async () => {
    const stream = startStream(scriptEvents(words, new RivuletError('generation-failed', 'broken')).stream)
    await expect(stream.result).rejects.toMatchObject({ text: words.join('') })
    const reader = stream.getReader()
    for (const word of words) expect((await reader.read()).value?.text).toBe(word)
    await expect(reader.read()).rejects.toMatchObject({ code: 'generation-failed' })
  })

  it('settles when the worker dies without an error, with and without a reader', async () => {
    for (const isRead of [true, false]) {
      const closed = new AbortController()
      const stream = startStream(scriptEvents(words, 'silence').stream, { closed })
      const text = isRead ? readTexts(stream).catch((error: unknown) => error) : undefined
      await nextTask()
      closed.abort(new RivuletError('worker-failed', 'gone'))
      await expect(stream.result).rejects.toMatchObject({ code: 'worker-failed', text: words.join('') })
      if (text) expect(await text).toMatchObject({ code: 'worker-failed' })
    }
  })

  it('has an error of its own, if several fail with the same one', async () => {
    const shared = new RivuletError('worker-failed', 'gone')
    const streams = ['Once', 'There'].map((word) => startStream(scriptEvents([word], shared).stream))
    const errors = await Promise.all(streams.map((stream) => stream.text().catch((error: unknown) => error)))
    expect(errors).toMatchObject([{ text: 'Once' }, { text: 'There' }])
    expect(shared.text).toBe('')
  })

  it('fails when the worker closes the stream before its end', async () => {
    const stream = startStream(new ReadableStream({ start: (controller) => controller.close() }))
    await expect(readTexts(stream)).rejects.toMatchObject({ code: 'worker-failed' })
  })
})

/** Stands in for workers that are lost one after the other: each streams some of the words, then fails. */
function startRecovering(failures: readonly { after: number; how: 'silence' | RivuletError }[]) {
  const seen = { resumed: [] as (Resume | undefined)[], terminated: [] as unknown[] }
  const takeWorker = async (): Promise<GenerationWorker> => {
    const failure = failures[seen.resumed.length]
    const closing = new AbortController()
    const generate = async ({ resume }: GenerateRequest) => {
      seen.resumed.push(resume)
      const first = resume?.generated.tokens ?? 0
      const rest = words.slice(first, failure?.after).map((text, index) => ({ text, id: first + index }))
      if (failure?.how === 'silence') {
        setTimeout(() => closing.abort(new RivuletError('worker-failed', 'gone')), 20)
      }
      return scriptEvents(rest, failure ? failure.how : 'stop').stream
    }
    return offer(generate, { closed: closing.signal, terminate: (reason) => seen.terminated.push(reason) })
  }
  return { seen, stream: openStream({ takeWorker }) }
}

describe('a token stream whose worker is lost', () => {
  const lost = () => new RivuletError('device-lost', 'the GPU is gone')
  const nothing = { text: '', tokens: 0 }

  it('continues after its last token, and counts the losses', async () => {
    const { seen, stream } = startRecovering([
      { after: 2, how: 'silence' },
      { after: 3, how: lost() },
    ])
    const chunks: TokenChunk[] = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.map(({ text }) => text)).toEqual(words)
    expect(chunks.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    expect(await stream.result).toMatchObject({
      text: words.join(''),
      finishReason: 'stop',
      recoveries: 2,
      usage: { promptTokens: 7, completionTokens: 4 },
    })
    expect(seen.resumed).toEqual([
      undefined,
      { handedOver: nothing, generated: { text: 'Once upon', tokens: 2, tokenIds: [0, 1] } },
      { handedOver: nothing, generated: { text: 'Once upon a', tokens: 3, tokenIds: [0, 1, 2] } },
    ])
    expect(seen.terminated).toHaveLength(2)
  })

  it('continues while nobody reads, if the result is awaited', async () => {
    const { stream } = startRecovering([{ after: 1, how: 'silence' }])
    expect(await stream.result).toMatchObject({ text: words.join(''), recoveries: 1 })
  })

  it('fails with the text so far when it is lost again and again without a token', async () => {
    const failures = Array.from({ length: 10 }, () => ({ after: 2, how: lost() }))
    const { seen, stream } = startRecovering(failures)
    await expect(stream.text()).rejects.toMatchObject({ code: 'device-lost', text: 'Once upon' })
    expect(seen.resumed).toHaveLength(4)
  })

  /** Stands in for several backends: each streams the words up to `after`, then ends or fails. */
  function startHandOver(
    backends: readonly { info: Partial<ModelInfo>; after: number; how?: RivuletError }[],
  ) {
    const seen = { resumed: [] as (Resume | undefined)[], switchedFrom: [] as string[] }
    let current = 0
    const stream = openStream({
      takeWorker: async () => {
        const { info: changes, after, how } = backends[current]!
        const writer = { ...info, ...changes }
        const generate = async ({ resume }: GenerateRequest) => {
          seen.resumed.push(resume)
          const first = (resume?.handedOver.tokens ?? 0) + (resume?.generated.tokens ?? 0)
          return scriptEvents(words.slice(first, after), how ?? 'stop').stream
        }
        const switchBackend = () => {
          if (current + 1 === backends.length) return false
          seen.switchedFrom.push(writer.backend)
          current += 1
          return true
        }
        return offer(generate, { info: writer, switchBackend })
      },
    })
    return { seen, stream }
  }
  const cannotContinue = { ...allSupport, continuation: false }
  const brokenOff = new RivuletError('connection-failed', 'the server is gone')

  it('for good continues with the next backend, and reports who generated which part', async () => {
    const { seen, stream } = startHandOver([
      { info: { backend: 'onnx' }, after: 2, how: lost() },
      { info: { backend: 'remote', device: 'server' }, after: 3, how: brokenOff },
      { info: { backend: 'llama-cpp' }, after: 4 },
    ])
    const { text, parts, usage, recoveries } = await stream.result
    expect(text).toBe(words.join(''))
    expect(parts.map(({ backend, device, text: part }) => [backend, device, part])).toEqual([
      ['onnx', 'wasm', 'Once upon'],
      ['remote', 'server', ' a'],
      ['llama-cpp', 'wasm', ' time'],
    ])
    expect(seen.switchedFrom).toEqual(['onnx', 'remote'])
    expect(seen.resumed.at(-1)).toMatchObject({
      handedOver: { text: 'Once upon a', tokens: 3 },
      generated: { text: '' },
    })
    expect(usage.completionTokens).toBe(4)
    // Three more attempts with the first backend, none of which produced a token.
    expect(recoveries).toBe(5)
  })

  it('is not handed over to a backend that cannot continue, and fails with the loss', async () => {
    const { seen, stream } = startHandOver([
      { info: { backend: 'onnx' }, after: 2, how: lost() },
      { info: { backend: 'remote', supports: cannotContinue }, after: 4 },
    ])
    await expect(stream.result).rejects.toMatchObject({ code: 'device-lost', text: 'Once upon' })
    expect(seen.resumed.slice(1).every((resume) => resume?.generated.text === 'Once upon')).toBe(true)
  })

  it('before its first token can be handed over to any backend', async () => {
    const { stream } = startHandOver([
      { info: { backend: 'onnx' }, after: 0, how: lost() },
      { info: { backend: 'remote', supports: cannotContinue }, after: 4 },
    ])
    expect(await stream.result).toMatchObject({ text: words.join(''), parts: [{ backend: 'remote' }] })
  })

  it('by a server that does not have the model is handed over', async () => {
    const unknown = new RivuletError('model-not-found', 'no such model')
    const { stream } = startHandOver([
      { info: { backend: 'remote' }, after: 0, how: unknown },
      { info: { backend: 'onnx' }, after: 4 },
    ])
    expect(await stream.result).toMatchObject({ text: words.join(''), parts: [{ backend: 'onnx' }] })
  })

  it('by a server that closed the connection fails if there is no other backend', async () => {
    const { seen, stream } = startHandOver([{ info: { backend: 'remote' }, after: 2, how: brokenOff }])
    await expect(stream.result).rejects.toMatchObject({ code: 'connection-failed', text: 'Once upon' })
    expect(seen.resumed).toHaveLength(1)
  })

  it('is not counted as lost where a backend only refused to continue it', async () => {
    const { stream } = startHandOver([
      { info: { backend: 'remote' }, after: 2, how: brokenOff },
      { info: { backend: 'web-llm', supports: cannotContinue }, after: 4 },
      { info: { backend: 'onnx' }, after: 4 },
    ])
    const { recoveries, parts } = await stream.result
    expect({ recoveries, backends: parts.map(({ backend }) => backend) }).toEqual({
      recoveries: 1,
      backends: ['remote', 'onnx'],
    })
  })

  it('before its first token has the whole counts of the backend that takes over', async () => {
    const counted = { promptTokens: 9, cachedPromptTokens: 2, completionTokens: 3, timings: undefined }
    let attempts = 0
    const stream = openStream({
      takeWorker: async () => {
        attempts += 1
        if (attempts === 1) return offer(async () => scriptEvents([], lost()).stream)
        const events: GenerationEvent[] = [
          { kind: 'started', promptTokens: undefined, cachedPromptTokens: 0, queueMs: 0, prefillMs: 1 },
          { kind: 'chunk', text: 'Once', tokenIds: [], tokenCount: 1 },
          { kind: 'counted', ...counted },
          { kind: 'ended', finishReason: 'stop' },
        ]
        return offer(async () => new ReadableStream({ start: (c) => events.forEach((e) => c.enqueue(e)) }))
      },
    })
    const { timings: _, ...usage } = counted
    expect(await stream.result).toMatchObject({ usage, recoveries: 1 })
  })

  it('fails with the error of loading the model again', async () => {
    let attempts = 0
    const stream = openStream({
      takeWorker: async () => {
        attempts += 1
        if (attempts > 1) throw new RivuletError('download-failed', 'offline')
        return offer(async () => scriptEvents(words.slice(0, 2), lost()).stream)
      },
    })
    await expect(stream.result).rejects.toMatchObject({ code: 'download-failed', text: 'Once upon' })
    expect(attempts).toBe(2)
  })

  it('can be cancelled while it waits for another worker', async () => {
    let isLate = false
    const late = scriptEvents(words)
    const stream = openStream({
      takeWorker: async () => {
        if (isLate) await nextTask()
        const { stream: events } = isLate ? late : scriptEvents(words.slice(0, 1), lost())
        isLate = true
        return offer(async () => events)
      },
    })
    const reader = stream.getReader()
    await reader.read()
    const next = reader.read()
    await new Promise((resolve) => setTimeout(resolve))
    await stream.cancel()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await stream.result).toMatchObject({ text: 'Once', finishReason: 'cancelled', recoveries: 1 })
    await nextTask()
    await nextTask()
    // The other worker is never asked.
    expect(late.seen).toEqual({ pulls: 0, isCancelled: false })
  })
})

describe('a token stream as the platform’s streams', () => {
  const broken = () => new RivuletError('generation-failed', 'broken')

  it('rejects cancel() after it has failed, with its error', async () => {
    const stream = startStream(scriptEvents(words, broken()).stream)
    await stream.text().catch(() => {})
    await expect(stream.cancel()).rejects.toMatchObject({ code: 'generation-failed' })
    const aborted = startStream(scriptEvents(words).stream, { signal: AbortSignal.abort('left') })
    await expect(aborted.cancel()).rejects.toBe('left')
    const finished = startStream(scriptEvents(words).stream)
    await finished.text()
    await expect(finished.cancel()).resolves.toBeUndefined()
  })

  it.each<['stop' | Error, string]>([
    ['stop', 'closed'],
    [broken(), 'generation-failed'],
  ])('settles "closed" when its last chunk has been read: %s', async (end, expected) => {
    const reader = startStream(scriptEvents(words, end).stream).getReader()
    const closed = reader.closed.then(
      () => 'closed',
      ({ code }: RivuletError) => code,
    )
    for (const word of words) expect((await reader.read()).value?.text).toBe(word)
    const last = reader.read().catch(() => {})
    expect(await closed).toBe(expected)
    await last
  })

  it('settles "closed" when it fails before a chunk, without a read', async () => {
    const reader = startStream(Promise.reject(broken())).getReader()
    await expect(reader.closed).rejects.toMatchObject({ code: 'generation-failed' })
  })

  it('settles "closed" when the last waiting chunk has been read after the end', async () => {
    const stream = startStream(scriptEvents(words).stream)
    await stream.result
    const reader = stream.getReader()
    for (const _ of words) await reader.read()
    await expect(reader.closed).resolves.toBeUndefined()
  })

  it('settles "closed" when it is cancelled with chunks that nobody has read', async () => {
    const stream = startStream(scriptEvents(words).stream)
    await stream.result
    const reader = stream.getReader()
    await stream.cancel()
    await expect(reader.closed).resolves.toBeUndefined()
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })

  it('hands the reason of cancel() to the worker’s stream', async () => {
    let seen: unknown
    const events = new ReadableStream<GenerationEvent>({ cancel: (reason) => void (seen = reason) })
    const stream = startStream(events)
    await nextTask()
    await stream.cancel('enough')
    await nextTask()
    expect(seen).toBe('enough')
  })
})

describe('the channels of an answer', () => {
  const started = {
    kind: 'started',
    promptTokens: 7,
    cachedPromptTokens: 0,
    queueMs: 0,
    prefillMs: 1,
  } as const
  const chunk = { kind: 'chunk', text: '', tokenIds: [], tokenCount: 1 } as const
  const call = (argumentsDelta: string, more: object = {}) => ({
    ...chunk,
    toolCalls: [{ index: 0, argumentsDelta, ...more }],
  })
  const events: readonly GenerationEvent[] = [
    started,
    { ...chunk, reasoning: 'Hm' },
    { ...chunk, reasoning: '.' },
    { ...chunk, text: 'I look.' },
    call('', { id: 'a', name: 'look' }),
    call('{"at":'),
    call('"Bern"}'),
    { kind: 'ended', finishReason: 'tool-calls' },
  ]
  function script(list: readonly GenerationEvent[]): ReadableStream<GenerationEvent> {
    const left = [...list]
    return new ReadableStream({
      pull(controller) {
        const event = left.shift()
        if (event) controller.enqueue(event)
        else controller.error(new RivuletError('worker-failed', 'gone'))
      },
    })
  }

  it('are kept apart in the chunks and in the result, and the first token counts in any of them', async () => {
    const stream = startStream(script(events))
    const chunks: TokenChunk[] = []
    for await (const each of stream) chunks.push(each)
    expect(chunks.map(({ text, reasoning, toolCalls }) => [text, reasoning, toolCalls?.length])).toEqual([
      ['', 'Hm', undefined],
      ['', '.', undefined],
      ['I look.', undefined, undefined],
      ['', undefined, 1],
      ['', undefined, 1],
      ['', undefined, 1],
    ])
    const { latency, ...result } = await stream.result
    expect(result).toMatchObject({
      text: 'I look.',
      reasoning: 'Hm.',
      toolCalls: [{ id: 'a', name: 'look', arguments: '{"at":"Bern"}' }],
      finishReason: 'tool-calls',
      usage: { completionTokens: 6 },
    })
    expect(latency.firstTokenChannel).toBe('reasoning')
    expect(latency.timeToFirstTokenMs).toBeGreaterThanOrEqual(0)
    expect(latency.timeToFirstTextMs).toBeGreaterThanOrEqual(latency.timeToFirstTokenMs!)
    expect(result.usage.reasoningTokens).toBe(2)
  })

  it.each([1, 4])('are not continued by a model that cannot continue them: %i chunks', async (chunks) => {
    let workers = 0
    const stream = openStream({
      async takeWorker() {
        workers += 1
        const list = script(events.slice(0, 1 + chunks))
        return offer(async () => list, { switchBackend: () => workers === 1 })
      },
    })
    await expect(stream.result).rejects.toMatchObject({ code: 'worker-failed' })
    // The second model is asked, and refused before any work.
    expect(workers).toBe(2)
  })
})

it('the progress of the prefill is reported before the first chunk, and is no part of the stream', async () => {
  const progress = [3, 6].map((computedTokens) => ({ computedTokens, totalTokens: 7 }))
  const generate = async () =>
    new ReadableStream<GenerationEvent>({
      start(controller) {
        for (const each of progress) controller.enqueue({ kind: 'prefilling', ...each })
        controller.enqueue({
          kind: 'started',
          promptTokens: 7,
          cachedPromptTokens: 0,
          queueMs: 0,
          prefillMs: 1,
        })
        controller.enqueue({ kind: 'chunk', text: 'a', tokenIds: [1], tokenCount: 1 })
        controller.enqueue({ kind: 'ended', finishReason: 'stop' })
      },
    })
  const seen: unknown[] = []
  const opened = openStream({
    takeWorker: async () => offer(generate),
    onPrefill: (each) => seen.push(each),
    onChunk: ({ chunk }) => seen.push(chunk.text),
  })
  expect(await opened.text()).toBe('a')
  expect(seen).toEqual([...progress, 'a'])
})
