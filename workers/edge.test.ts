import { describe, expect, it } from 'vitest'
import type { GenerateRequest } from '../lib/contract/request.js'
import { turnTaken, type GenerationEvent, type LoadRequest } from '../lib/contract/worker-api.js'
import { createEdge } from './edge.js'
import type { HostApi } from './host.js'
import { maxWaiting } from './queue.js'

const task = () => new Promise((resolve) => setTimeout(resolve))

/** Stands in for a host with a model: an answer has two chunks. Its answers must not overlap beyond `concurrency`. */
function createScriptedHost(concurrency = 1) {
  const seen = { started: [] as string[], canPause: [] as unknown[], running: 0, mostRunning: 0 }
  const host: HostApi = {
    stepsInFlight: 0,
    checkLoaded() {},
    load: () =>
      new ReadableStream({
        start(controller) {
          // Cast: nothing else of the model is read.
          const info = { supports: { concurrency } } as never
          controller.enqueue({ kind: 'ready', info })
        },
      }),
    generate({ input, prefillOnly, canPausePrefill }) {
      seen.canPause.push(canPausePrefill)
      seen.started.push(input.kind === 'text' ? input.text : '')
      seen.running += 1
      seen.mostRunning = Math.max(seen.mostRunning, seen.running)
      const events: GenerationEvent[] = [
        { kind: 'prefilling', computedTokens: 1, totalTokens: 2 },
        { kind: 'started', promptTokens: 1, cachedPromptTokens: 0, queueMs: 0, prefillMs: 0 },
        { kind: 'chunk', text: 'a', tokenIds: [1], tokenCount: 1 },
        { kind: 'chunk', text: 'b', tokenIds: [2], tokenCount: 1 },
        { kind: 'ended', finishReason: 'stop' },
      ]
      return new ReadableStream<GenerationEvent>(
        {
          async pull(controller) {
            await task()
            // A prefill that is computed ahead never ends here.
            if (prefillOnly) return new Promise(() => {})
            const event = events.shift()!
            controller.enqueue(event)
            if (event.kind !== 'ended') return
            seen.running -= 1
            controller.close()
          },
          cancel: () => void (seen.running -= 1),
        },
        { highWaterMark: 0 },
      )
    },
    countTokens: () => new ReadableStream(),
    unload: () => Promise.resolve(),
  }
  return { seen, host }
}

async function openEdge(concurrency?: number) {
  const { seen, host } = createScriptedHost(concurrency)
  const edge = createEdge(host)
  await edge
    .open()
    .load({} as LoadRequest)
    .getReader()
    .read()
  return { seen, edge }
}

const textRequest = (text: string, more: Partial<GenerateRequest> = {}): GenerateRequest => ({
  input: { kind: 'text', text },
  options: { stop: [] },
  ...more,
})

async function readKinds(stream: ReadableStream<GenerationEvent>): Promise<string[]> {
  const kinds: string[] = []
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return kinds
    kinds.push(value.kind)
  }
}

describe('the edge of a host (scripted host)', () => {
  it('lets clients take turns, and keeps the order of each', async () => {
    const { seen, edge } = await openEdge()
    const [first, second] = [edge.open(), edge.open()]
    const streams = ['a1', 'a2', 'a3'].map((text) => first.generate(textRequest(text)))
    streams.push(...['b1', 'b2'].map((text) => second.generate(textRequest(text))))
    await Promise.all(streams.map(readKinds))
    expect(seen.started).toEqual(['a1', 'b1', 'a2', 'b2', 'a3'])
    expect(seen.mostRunning).toBe(1)
  })

  it('runs as many generations at once as the model can', async () => {
    const { seen, edge } = await openEdge(2)
    const streams = [edge.open(), edge.open(), edge.open()].map((client) => client.generate(textRequest('x')))
    await Promise.all(streams.map(readKinds))
    expect(seen.mostRunning).toBe(2)
  })

  it('cancels the generations of a client that ends, and lets the others continue', async () => {
    const { seen, edge } = await openEdge()
    const left = new AbortController()
    const leaving = edge.open(left.signal)
    const unread = leaving.generate(textRequest('unread'))
    const waiting = leaving.generate(textRequest('waiting'))
    const other = edge.open().generate(textRequest('other'))
    const reader = unread.getReader()
    await reader.read()
    left.abort()
    expect(await readKinds(other)).toEqual(['started', 'chunk', 'chunk', 'ended'])
    expect(await readKinds(waiting)).toEqual([])
    expect(seen.started).toEqual(['unread', 'other'])
    expect(seen.running).toBe(0)
  })

  it('takes the turn of a reader that reads nothing while another client waits, and says so', async () => {
    const { edge } = await openEdge()
    const unread = edge.open().generate(textRequest('unread')).getReader()
    await unread.read()
    const other = edge.open().generate(textRequest('other'))
    expect(await readKinds(other)).toContain('ended')
    await expect(unread.read()).rejects.toMatchObject({ code: 'worker-failed', cause: turnTaken })
  })

  it('ends a prefill that is computed ahead when another client has a request', async () => {
    const { edge } = await openEdge()
    const ahead = readKinds(edge.open().generate(textRequest('ahead', { prefillOnly: true })))
    await task()
    expect(await readKinds(edge.open().generate(textRequest('other')))).toContain('ended')
    expect(await ahead).toEqual([])
  })

  it('refuses a request beyond those that may wait, for each client', async () => {
    const { edge } = await openEdge()
    const client = edge.open()
    for (let count = 0; count <= maxWaiting; count += 1) client.generate(textRequest('x'))
    expect(() => client.generate(textRequest('x'))).toThrow('The queue is full')
    expect(() => edge.open().generate(textRequest('x'))).not.toThrow()
  })

  it('counts steps, and says whether a reader waits for one', async () => {
    const { edge } = await openEdge()
    const client = edge.open()
    expect(await client.readStatus()).toMatchObject({ steps: 0, isComputing: false })
    const reader = client.generate(textRequest('x')).getReader()
    const reading = reader.read()
    for (let step = 0; step < 5; step += 1) await Promise.resolve()
    expect(await client.readStatus()).toMatchObject({ isComputing: true })
    await reading
    expect(await client.readStatus()).toMatchObject({ steps: 2, isComputing: false })
  })

  it('counts a step that a cancel waits for, because the next generation waits for it, too', async () => {
    const { host } = createScriptedHost()
    const never = () => new Promise<void>(() => {})
    const hung = {
      ...host,
      generate: () => new ReadableStream<GenerationEvent>({ pull: never, cancel: never }),
    }
    const client = createEdge(hung).open()
    const cancelled = client.generate(textRequest('x')).getReader()
    void cancelled.read()
    await task()
    void cancelled.cancel()
    await task()
    void client.generate(textRequest('y')).getReader().read()
    await task()
    expect(await client.readStatus()).toMatchObject({ isComputing: true })
  })

  it('reports the prefill to those who ask for it, and only they can pause it', async () => {
    const { seen, edge } = await openEdge()
    const stream = edge.open().generate(textRequest('x', { reportsPrefill: true }))
    expect((await readKinds(stream))[0]).toBe('prefilling')
    expect((await readKinds(edge.open().generate(textRequest('y'))))[0]).toBe('started')
    expect(seen.canPause).toEqual([true, false])
  })
})
