import { wrap, type Remote } from 'comlink'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../lib/contract/errors.js'
import type { GenerationEvent, LoadEvent, WorkerApi, WorkerModelInfo } from '../lib/contract/worker-api.js'
import type { Backend } from './backend.js'
import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { maxWaiting } from './queue.js'
import { readPrompt, textRequest } from './request.test-support.js'

const info: WorkerModelInfo = {
  model: 'https://models.example/scripted/',
  backend: 'scripted',
  device: 'wasm',
  deviceDescription: 'none',
  dtype: 'none',
  execution: 'growing-cache',
  warnings: [],
  contextLength: 100,
  supports: {
    inputs: ['text'],
    roles: [],
    formats: [],
    reasoning: [],
    options: [],
    continuation: true,
    seededContinuation: true,
    concurrency: 1,
    tokenCounting: true,
    prefill: true,
    keptPrefixes: false,
  },
}

const someProgress = {
  phase: 'download',
  file: 'weights',
  files: [],
  loadedBytes: 0,
  totalBytes: 100,
  fraction: 0,
  bytesPerSecond: undefined,
  remainingMs: undefined,
} as const

/** Stands in for a runtime: generates the prompt's words, one per step, and counts its work. */
function createScriptedBackend(stepsInFlight: 0 | 1, needsTurn: boolean) {
  const seen = {
    steps: 0,
    running: 0,
    mostRunning: 0,
    started: [] as string[],
    isUnloaded: false,
    lose: () => {},
  }
  const backend: Backend<{ isMissing?: boolean }> = {
    stepsInFlight,
    async load({ options }, { onProgress, onLost }) {
      seen.lose = () => onLost(new RivuletError('device-lost', 'gone'))
      for (let loadedBytes = 0; loadedBytes <= 100; loadedBytes += 50) {
        onProgress({ ...someProgress, loadedBytes })
        await nextTask()
      }
      if (options.isMissing)
        throw new RivuletError('model-not-found', 'no such folder', { cause: new Error('404') })
      return info
    },
    async *generate({ input }, { signal, queueMs }) {
      const prompt = readPrompt(input)
      seen.started.push(prompt)
      seen.running += 1
      seen.mostRunning = Math.max(seen.mostRunning, seen.running)
      try {
        yield { kind: 'started', promptTokens: 3, cachedPromptTokens: 1, queueMs, prefillMs: 2 }
        for (const text of prompt.split(/(?= )/)) {
          await nextTask()
          signal.throwIfAborted()
          seen.steps += 1
          if (text === ' fail') throw new Error('the runtime broke')
          if (text === ' lose') {
            setTimeout(seen.lose, 20)
            throw new Error('the device is gone')
          }
          yield { kind: 'chunk', text, tokenIds: [seen.steps], tokenCount: 1 }
        }
        return 'stop'
      } finally {
        seen.running -= 1
      }
    },
    tokenCounter: {
      needsTurn,
      async count({ input }, signal) {
        await nextTask()
        signal.throwIfAborted()
        return readPrompt(input).split(' ').length
      },
    },
    async unload() {
      seen.isUnloaded = true
    },
  }
  return { seen, backend }
}

const nextTask = () => new Promise((resolve) => setTimeout(resolve, 1))
const settle = () => new Promise((resolve) => setTimeout(resolve, 60))

interface HostOptions {
  readonly isMissing?: boolean
  readonly stepsInFlight?: 0 | 1
  /** True if a count of tokens waits in the queue. */
  readonly needsTurn?: boolean
}

const place = {
  model: { kind: 'folder', url: info.model },
  download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
} as const

/** Starts a host at the other end of a real MessageChannel, as the page reaches it. */
async function startHost({ stepsInFlight = 0, needsTurn = false, ...options }: HostOptions = {}) {
  const { seen, backend } = createScriptedBackend(stepsInFlight, needsTurn)
  const { port1, port2 } = new MessageChannel()
  exposeMethods(createHost(backend), port1)
  const host = wrap<WorkerApi>(port2)
  const lifeLock = crypto.randomUUID()
  const loadEvents = (await host.load({ ...place, options, lifeLock })).getReader()
  return { seen, backend, host, port: port2, lifeLock, loadEvents, loading: readUntilReady(loadEvents) }
}

async function readUntilReady(reader: ReadableStreamDefaultReader<LoadEvent>): Promise<LoadEvent[]> {
  const events: LoadEvent[] = []
  while (events.at(-1)?.kind !== 'ready') {
    const { done, value } = await reader.read()
    if (done) throw new Error('Loading ended without a model.')
    events.push(value)
  }
  return events
}

async function readAll<T>(stream: ReadableStream<T>): Promise<T[]> {
  const values: T[] = []
  const reader = stream.getReader()
  for (let read = await reader.read(); !read.done; read = await reader.read()) values.push(read.value)
  return values
}

async function generate(host: Remote<WorkerApi>, prompt: string): Promise<ReadableStream<GenerationEvent>> {
  return host.generate(textRequest(prompt))
}

const textOf = (events: readonly GenerationEvent[]) =>
  events.map((event) => (event.kind === 'chunk' ? event.text : '')).join('')

describe('loading', () => {
  it('reports progress and then the model’s info', async () => {
    const { loading } = await startHost()
    const events: LoadEvent[] = await loading
    expect(events[0]?.kind).toBe('progress')
    expect(events.at(-1)).toEqual({ kind: 'ready', info })
  })

  it('fails with the backend’s error, its code and its cause', async () => {
    const { loading, host } = await startHost({ isMissing: true })
    await expect(loading).rejects.toMatchObject({ code: 'model-not-found', cause: { message: '404' } })
    await expect(generate(host, 'hello')).rejects.toMatchObject({ code: 'engine-disposed' })
  })

  it('refuses a second model', async () => {
    const { host, loading } = await startHost()
    await loading
    const again = readAll(await host.load({ ...place, options: {}, lifeLock: crypto.randomUUID() }))
    await expect(again).rejects.toMatchObject({ code: 'invalid-option' })
  })
})

describe('a loaded model', () => {
  it('reports its loss, also in the running generation', async () => {
    const { host, loading, loadEvents } = await startHost()
    await loading
    const loss = loadEvents.read()
    await expect(readAll(await generate(host, 'a lose'))).rejects.toMatchObject({ code: 'device-lost' })
    await expect(loss).rejects.toMatchObject({ code: 'device-lost', message: 'gone' })
  })

  it('keeps its life lock', async () => {
    const { loading, lifeLock } = await startHost()
    await loading
    const { held } = await navigator.locks.query()
    expect(held?.map(({ name }) => name)).toContain(lifeLock)
  })

  it('ends the stream of its load when it is unloaded', async () => {
    const { host, loading, loadEvents } = await startHost()
    await loading
    await host.unload()
    expect(await loadEvents.read()).toEqual({ done: true, value: undefined })
  })
})

describe('counting tokens', () => {
  const count = async (host: Remote<WorkerApi>, prompt: string) =>
    readAll(await host.countTokens(textRequest(prompt)))

  it('works while a generation runs, if the backend can', async () => {
    const { host, loading } = await startHost()
    await loading
    const reader = (await generate(host, 'an unread answer')).getReader()
    expect(await count(host, 'one two three')).toEqual([3])
    await reader.cancel()
  })

  it('waits in the queue otherwise, and leaves the queue when it is cancelled', async () => {
    const { host, loading } = await startHost({ needsTurn: true })
    await loading
    const reader = (await generate(host, 'an unread answer')).getReader()
    const counted = { isDone: false }
    const counting = count(host, 'one two three').then((counts) => {
      counted.isDone = true
      return counts
    })
    const left = await host.countTokens(textRequest('never'))
    await left.cancel()
    await settle()
    expect(counted.isDone).toBe(false)
    await reader.cancel()
    expect(await counting).toEqual([3])
    expect(textOf(await readAll(await generate(host, 'a b')))).toBe('a b')
  })

  it('is refused before a model is loaded', async () => {
    const { host, loading } = await startHost({ isMissing: true, needsTurn: true })
    await loading.catch(() => {})
    await expect(count(host, 'one')).rejects.toMatchObject({ code: 'engine-disposed' })
  })
})

describe('generating', () => {
  it('sends the start, each chunk and the end', async () => {
    const { host, loading } = await startHost()
    await loading
    const events = await readAll(await generate(host, 'a b'))
    expect(events.map((event) => event.kind)).toEqual(['started', 'chunk', 'chunk', 'ended'])
    expect(events[0]).toMatchObject({ promptTokens: 3, cachedPromptTokens: 1, prefillMs: 2 })
    expect(events[2]).toEqual({ kind: 'chunk', text: ' b', tokenIds: [2], tokenCount: 1 })
    expect(events[3]).toMatchObject({ finishReason: 'stop' })
  })

  it('runs at most two unread steps ahead of the reader', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const stream = await generate(host, 'a b c d e f')
    await settle()
    // The "started" event used one of the two credits.
    expect(seen.steps).toBe(1)
    await stream.cancel()
  })

  it('gives one credit less to a backend that keeps a step in flight', async () => {
    const { host, loading, seen } = await startHost({ stepsInFlight: 1 })
    await loading
    const reader = (await generate(host, 'a b c d e f')).getReader()
    // "started", then "a" and "b".
    for (let read = 1; read <= 3; read += 1) {
      await reader.read()
      await settle()
      expect(seen.steps).toBe(read)
    }
    await reader.cancel()
  })

  it('runs requests one at a time and in order, each with its own text', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const prompts = Array.from({ length: 8 }, (_, index) => `${index} is number ${index}`)
    const streams = await Promise.all(prompts.map((prompt) => generate(host, prompt)))
    const texts = await Promise.all(streams.map(async (stream) => textOf(await readAll(stream))))
    expect(texts).toEqual(prompts)
    expect(seen.started).toEqual(prompts)
    expect(seen.mostRunning).toBe(1)
  })

  it('refuses only the requests that exceed the queue', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const asked = Array.from({ length: maxWaiting + 11 }, (_, index) => generate(host, `number ${index}`))
    const outcomes = await Promise.allSettled(
      asked.map(async (stream) => textOf(await readAll(await stream))),
    )
    const expected = Array.from({ length: maxWaiting + 1 }, (_, index) => `number ${index}`)
    expect(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))).toEqual(
      expected,
    )
    for (const outcome of outcomes.slice(maxWaiting + 1)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'queue-full' } })
    }
    expect(seen.mostRunning).toBe(1)
    expect(textOf(await readAll(await generate(host, 'later')))).toBe('later')
  })

  it('starts the next request when one has ended, even if its end is unread', async () => {
    const { host, loading } = await startHost()
    await loading
    const first = (await generate(host, 'a')).getReader()
    await first.read()
    await first.read()
    const second = await readAll(await generate(host, 'b'))
    expect(textOf(second)).toBe('b')
    expect((await first.read()).value).toEqual({ kind: 'ended', finishReason: 'stop' })
  })

  it('stops within one step of a cancel, and runs the next request', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const stream = await generate(host, 'a b c d e f g h')
    const reader = stream.getReader()
    await reader.read()
    await reader.read()
    const { steps } = seen
    await reader.cancel()
    expect(textOf(await readAll(await generate(host, 'next')))).toBe('next')
    // At most one further step of the first, and one of "next".
    expect(seen.steps).toBeLessThanOrEqual(steps + 2 + 1)
    expect(seen.running).toBe(0)
  })

  it('never starts a request that is cancelled while it waits', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const first = await generate(host, 'a b')
    const second = await generate(host, 'never')
    const third = await generate(host, 'c')
    await second.cancel()
    expect(textOf(await readAll(first))).toBe('a b')
    expect(textOf(await readAll(third))).toBe('c')
    expect(seen.started).toEqual(['a b', 'c'])
  })

  it('frees the place of a request that is cancelled at once', async () => {
    const { host, loading } = await startHost()
    await loading
    for (let round = 0; round < 20; round += 1) await (await generate(host, 'a')).cancel()
    expect(textOf(await readAll(await generate(host, 'b')))).toBe('b')
  })

  it('limits a failure to its own request', async () => {
    const { host, loading } = await startHost()
    await loading
    const failing = readAll(await generate(host, 'a fail'))
    const next = readAll(await generate(host, 'b'))
    await expect(failing).rejects.toMatchObject({
      code: 'generation-failed',
      cause: { message: 'the runtime broke' },
    })
    expect(textOf(await next)).toBe('b')
  })

  it('unloads after the running generation has stopped, and then refuses requests', async () => {
    const { host, loading, seen } = await startHost()
    await loading
    const stream = await generate(host, 'a b c')
    const unloading = host.unload()
    await settle()
    expect(seen.isUnloaded).toBe(false)
    await stream.cancel()
    await unloading
    expect(seen.isUnloaded).toBe(true)
    await expect(generate(host, 'more')).rejects.toMatchObject({ code: 'engine-disposed' })
  })
})

describe('what a worker does not expose', () => {
  /** Posts a message as Comlink writes it, and waits for the answer. */
  function send(port: MessagePort, message: object): Promise<{ name?: string; value?: unknown }> {
    const id = crypto.randomUUID()
    return new Promise((resolve) => {
      port.addEventListener('message', ({ data }) => data.id === id && resolve(data))
      port.postMessage({ id, ...message })
    })
  }

  const attempts: Record<string, object> = {
    'a constructor': { type: 'APPLY', path: ['constructor'], argumentList: [] },
    'the constructor of a method': {
      type: 'APPLY',
      path: ['load', 'constructor'],
      argumentList: [{ type: 'RAW', value: 'globalThis.isReached = true' }],
    },
    'a prototype': { type: 'GET', path: ['__proto__'] },
    'reading a method': { type: 'GET', path: ['load'] },
    'setting a property': { type: 'SET', path: ['load'], value: { type: 'RAW', value: 1 } },
    construction: { type: 'CONSTRUCT', path: ['load'], argumentList: [] },
    'a new endpoint': { type: 'ENDPOINT', path: [] },
    'the internal refusal method': { type: 'APPLY', path: ['refuse'], argumentList: [] },
    'a message without a path': { type: 'APPLY', argumentList: [] },
  }
  for (const [name, message] of Object.entries(attempts)) {
    it(name, async () => {
      const { port, host, loading } = await startHost()
      await loading
      const answer = await send(port, message)
      expect(answer).toMatchObject({ name: 'throw', value: { value: { code: 'invalid-option' } } })
      expect(globalThis).not.toHaveProperty('isReached')
      expect(textOf(await readAll(await generate(host, 'still here')))).toBe('still here')
    })
  }
})
