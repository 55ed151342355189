import { describe, expect, it } from 'vitest'
import { RivuletError } from './contract/errors.js'
import type { Said } from './contract/options.js'
import type { GenerationEvent, ModelInfo, TokenChunk } from './contract/worker-api.js'
import type { GenerationEnd } from './generation-record.js'
import type { GenerationSource, GenerationWorker } from './generation-source.js'
import { TokenStream } from './token-stream.js'

/** Stands in for a worker: tells a scripted generation, as fast as it is pulled. */
function scriptEvents(
  words: readonly (string | { readonly text: string; readonly id: number })[],
  end: 'stop' | 'length' | Error | 'silence' = 'stop',
) {
  const seen = { pulls: 0, isCancelled: false }
  const events: (GenerationEvent | Error)[] = [
    { kind: 'started', promptTokens: 7, cachedPromptTokens: 3, queueMs: 1, prefillMs: 2 },
    ...words.map((word, index): GenerationEvent => {
      const { text, id } = typeof word === 'string' ? { text: word, id: index } : word
      return { kind: 'chunk', chunk: { text, tokenIds: [id], tokenCount: 1 } }
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
  execution: 'none',
  contextLength: 100,
  hasChatTemplate: false,
  canContinue: true,
}

/** A worker with nothing behind it: it lives on, and no other takes over. */
function offer(
  generate: GenerationWorker['generate'],
  changes: Partial<GenerationWorker> = {},
): GenerationWorker {
  const closed = new AbortController().signal
  return { info, generate, closed, giveUp() {}, moveOn: () => false, ...changes }
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
    onEnd?: GenerationSource['onEnd']
    closed?: AbortController
    disposed?: AbortController
  } = {},
) {
  return new TokenStream({
    take: async () => offer(async () => stream, { closed: closed.signal }),
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

  it('tells the end by length from the end by stop', async () => {
    const stream = startStream(scriptEvents(words, 'length').stream)
    await stream.text()
    expect((await stream.result).finishReason).toBe('length')
  })

  it('iterates where the platform has no async iteration of streams', async () => {
    const native = Object.getOwnPropertyDescriptor(ReadableStream.prototype, Symbol.asyncIterator)
    Reflect.deleteProperty(ReadableStream.prototype, Symbol.asyncIterator)
    try {
      expect(await readTexts(startStream(scriptEvents(words).stream))).toBe(words.join(''))
    } finally {
      if (native) Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, native)
    }
  })

  it('asks the worker for nothing while nobody reads', async () => {
    const { seen, stream } = scriptEvents(words)
    startStream(stream)
    await nextTask()
    expect(seen.pulls).toBe(0)
  })

  it('runs to its end for whoever asks only for the result, and keeps the chunks for a later reader', async () => {
    const stream = startStream(scriptEvents(words).stream)
    expect((await stream.result).text).toBe(words.join(''))
    expect(await readTexts(stream)).toBe(words.join(''))
  })

  it('keeps to the pace of a reader who asked for the result first', async () => {
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

  it('puts the latency of each generation into the Performance timeline', async () => {
    performance.clearMeasures()
    const stream = startStream(scriptEvents(words).stream)
    await stream.text()
    const { latency } = await stream.result
    const [measure] = performance.getEntriesByName('rivulet:time-to-first-token')
    expect(measure?.duration).toBeCloseTo(latency.timeToFirstTokenMs!, 3)
    expect(performance.getEntriesByName('rivulet:generation')).toHaveLength(1)
  })
})

describe('the end of a token stream', () => {
  async function observeEnd(end: 'stop' | Error, leave: (stream: TokenStream) => Promise<unknown>) {
    const ends: GenerationEnd[] = []
    const stream = startStream(scriptEvents(words, end).stream, { onEnd: (told) => ends.push(told) })
    await leave(stream)
    await stream.result.catch(() => {})
    await stream.cancel()
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
  ] as const)('is told once when it is %s, with its figures', async (how, end, leave) => {
    const ends = await observeEnd(end, leave)
    expect(ends).toHaveLength(1)
    const [{ outcome, usage, latency }] = ends as [GenerationEnd]
    expect(outcome.kind === 'failed' ? 'failed' : outcome.finishReason).toBe(
      how === 'finished' ? 'stop' : how,
    )
    expect(usage.completionTokens).toBe(how === 'cancelled' ? 0 : words.length)
    expect(latency.timeToFirstTokenMs === undefined).toBe(how === 'cancelled')
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
    "the reader's cancel()": async (stream) => {
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
    it(`by ${name} resolves the result with what was said, and tells the worker`, async () => {
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
    expect(await stream.result).toMatchObject({ text: 'Once', finishReason: 'cancelled' })
    await nextTask()
    expect(seen.isCancelled).toBe(true)
  })

  it('by a signal that is aborted already starts nothing', async () => {
    let isOpened = false
    const stream = new TokenStream({
      take: () => {
        isOpened = true
        return Promise.reject(new Error('not to be opened'))
      },
      canRecover: true,
      signal: AbortSignal.abort(new Error('before')),
      disposed: new AbortController().signal,
    })
    await expect(readTexts(stream)).rejects.toThrow('before')
    expect(await stream.result).toMatchObject({ text: '', finishReason: 'cancelled' })
    expect(isOpened).toBe(false)
  })

  it('before the worker has answered still frees the worker', async () => {
    const { seen, stream: events } = scriptEvents(words)
    const stream = startStream(nextTask().then(() => events))
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
  it('hands out all that was said, then the error with that text', async () => {
    const stream = startStream(scriptEvents(words, new RivuletError('generation-failed', 'broken')).stream)
    let text = ''
    const read = async () => {
      for await (const chunk of stream) text += chunk.text
    }
    await expect(read()).rejects.toMatchObject({ code: 'generation-failed', text: words.join('') })
    expect(text).toBe(words.join(''))
    await expect(stream.result).rejects.toMatchObject({ code: 'generation-failed', text: words.join('') })
  })

  it('loses nothing when only the result was asked for', async () => {
    const stream = startStream(scriptEvents(words, new RivuletError('generation-failed', 'broken')).stream)
    await expect(stream.result).rejects.toMatchObject({ text: words.join('') })
    const reader = stream.getReader()
    for (const word of words) expect((await reader.read()).value?.text).toBe(word)
    await expect(reader.read()).rejects.toMatchObject({ code: 'generation-failed' })
  })

  it('settles when the worker dies in silence, with and without a reader', async () => {
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

  it('says so when the worker ends a stream without a reason', async () => {
    const stream = startStream(new ReadableStream({ start: (controller) => controller.close() }))
    await expect(readTexts(stream)).rejects.toMatchObject({ code: 'worker-failed' })
  })
})

/** Stands in for workers that are lost one after the other: each says some of the words, then fails so. */
function startRecovering(failures: readonly { after: number; how: 'silence' | RivuletError }[]) {
  const seen = { said: [] as (Said | undefined)[], givenUp: [] as unknown[] }
  const take = async (): Promise<GenerationWorker> => {
    const failure = failures[seen.said.length]
    const closing = new AbortController()
    const generate = async (said: Said | undefined) => {
      seen.said.push(said)
      const begun = said?.own.tokens ?? 0
      const left = words.slice(begun, failure?.after).map((text, index) => ({ text, id: begun + index }))
      if (failure?.how === 'silence') {
        setTimeout(() => closing.abort(new RivuletError('worker-failed', 'gone')), 20)
      }
      return scriptEvents(left, failure ? failure.how : 'stop').stream
    }
    return offer(generate, { closed: closing.signal, giveUp: (reason) => seen.givenUp.push(reason) })
  }
  const stream = new TokenStream({
    take,
    canRecover: true,
    signal: undefined,
    disposed: new AbortController().signal,
  })
  return { seen, stream }
}

describe('a token stream whose worker is lost', () => {
  const lost = () => new RivuletError('device-lost', 'the GPU is gone')
  const nothing = { text: '', tokens: 0 }

  it('goes on behind its last token, and says how often', async () => {
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
    expect(seen.said).toEqual([
      undefined,
      { before: nothing, own: { text: 'Once upon', tokens: 2, tokenIds: [0, 1] } },
      { before: nothing, own: { text: 'Once upon a', tokens: 3, tokenIds: [0, 1, 2] } },
    ])
    expect(seen.givenUp).toHaveLength(2)
  })

  it('does so while nobody reads, for whoever waits for the result', async () => {
    const { stream } = startRecovering([{ after: 1, how: 'silence' }])
    expect(await stream.result).toMatchObject({ text: words.join(''), recoveries: 1 })
  })

  it('gives up when it is lost again and again without a token, with all that was said', async () => {
    const failures = Array.from({ length: 10 }, () => ({ after: 2, how: lost() }))
    const { seen, stream } = startRecovering(failures)
    await expect(stream.text()).rejects.toMatchObject({ code: 'device-lost', text: 'Once upon' })
    expect(seen.said).toHaveLength(4)
  })

  /** Stands in for several backends, each with what it says of the words and how it then fails. */
  function startHandOver(
    backends: readonly { info: Partial<ModelInfo>; after: number; how?: RivuletError }[],
  ) {
    const seen = { said: [] as (Said | undefined)[], movedOn: [] as string[] }
    let current = 0
    const stream = new TokenStream({
      take: async () => {
        const { info: changes, after, how } = backends[current]!
        const writer = { ...info, ...changes }
        const generate = async (said: Said | undefined) => {
          seen.said.push(said)
          const begun = (said?.before.tokens ?? 0) + (said?.own.tokens ?? 0)
          return scriptEvents(words.slice(begun, after), how ?? 'stop').stream
        }
        const moveOn = () => {
          if (current + 1 === backends.length) return false
          seen.movedOn.push(writer.backend)
          current += 1
          return true
        }
        return offer(generate, { info: writer, moveOn })
      },
      canRecover: true,
      signal: undefined,
      disposed: new AbortController().signal,
    })
    return { seen, stream }
  }
  const brokenOff = new RivuletError('connection-failed', 'the server is gone')

  it('for good goes on with the next backend, and says who wrote what', async () => {
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
    expect(seen.movedOn).toEqual(['onnx', 'remote'])
    expect(seen.said.at(-1)).toMatchObject({ before: { text: 'Once upon a', tokens: 3 }, own: { text: '' } })
    expect(usage.completionTokens).toBe(4)
    // Three more attempts at the first, which brought no token.
    expect(recoveries).toBe(5)
  })

  it('is not given to a backend that cannot go on, and fails with the loss', async () => {
    const { seen, stream } = startHandOver([
      { info: { backend: 'onnx' }, after: 2, how: lost() },
      { info: { backend: 'remote', canContinue: false }, after: 4 },
    ])
    await expect(stream.result).rejects.toMatchObject({ code: 'device-lost', text: 'Once upon' })
    expect(seen.said.slice(1).every((said) => said?.own.text === 'Once upon')).toBe(true)
  })

  it('before its first token can be given to any backend', async () => {
    const { stream } = startHandOver([
      { info: { backend: 'onnx' }, after: 0, how: lost() },
      { info: { backend: 'remote', canContinue: false }, after: 4 },
    ])
    expect(await stream.result).toMatchObject({ text: words.join(''), parts: [{ backend: 'remote' }] })
  })

  it('by a server that broke off fails so where there is no other backend', async () => {
    const { seen, stream } = startHandOver([{ info: { backend: 'remote' }, after: 2, how: brokenOff }])
    await expect(stream.result).rejects.toMatchObject({ code: 'connection-failed', text: 'Once upon' })
    expect(seen.said).toHaveLength(1)
  })

  it('fails with what loading the model again failed with', async () => {
    let attempts = 0
    const stream = new TokenStream({
      take: async () => {
        attempts += 1
        if (attempts > 1) throw new RivuletError('download-failed', 'offline')
        return offer(async () => scriptEvents(words.slice(0, 2), lost()).stream)
      },
      canRecover: true,
      signal: undefined,
      disposed: new AbortController().signal,
    })
    await expect(stream.result).rejects.toMatchObject({ code: 'download-failed', text: 'Once upon' })
    expect(attempts).toBe(2)
  })

  it('can be cancelled while it waits for another worker', async () => {
    let isLate = false
    const late = scriptEvents(words)
    const stream = new TokenStream({
      take: async () => {
        if (isLate) await nextTask()
        const { stream: events } = isLate ? late : scriptEvents(words.slice(0, 1), lost())
        isLate = true
        return offer(async () => events)
      },
      canRecover: true,
      signal: undefined,
      disposed: new AbortController().signal,
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
    // Whoever was waiting may have asked once.
    expect(late.seen.isCancelled).toBe(true)
    expect(late.seen.pulls).toBeLessThan(2)
  })
})
