import { describe, expect, it } from 'vitest'
import { RivuletError } from './errors.js'
import { readAheadChunks, receiveStream, sendStream } from './stream-transfer.js'

/** Sends a source that counts its pulls over a real MessageChannel. */
function sendNumbers({ count = Infinity, failAt = Infinity, credits = readAheadChunks } = {}) {
  const seen = { pulls: 0, isCancelled: false, cancelReason: undefined as unknown }
  const source = new ReadableStream<number>(
    {
      pull(controller) {
        if (seen.pulls === failAt)
          throw new RivuletError('generation-failed', 'broken on purpose', { text: 'generated text' })
        if (seen.pulls === count) return controller.close()
        controller.enqueue(seen.pulls)
        seen.pulls += 1
      },
      cancel(reason) {
        seen.isCancelled = true
        seen.cancelReason = reason
      },
    },
    { highWaterMark: 0 },
  )
  const { port1, port2 } = new MessageChannel()
  sendStream(source, port1)
  return { seen, stream: receiveStream<number>(port2, credits) }
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 50))

async function readAll<T>(stream: ReadableStream<T>): Promise<T[]> {
  const values: T[] = []
  const reader = stream.getReader()
  for (let read = await reader.read(); !read.done; read = await reader.read()) values.push(read.value)
  return values
}

describe('a stream over a message port', () => {
  it('arrives complete and in order', async () => {
    const { stream } = sendNumbers({ count: 1000 })
    expect(await readAll(stream)).toEqual(Array.from({ length: 1000 }, (_, index) => index))
  })

  for (const credits of [1, 2]) {
    it(`pulls its source for ${credits} chunks while nobody reads`, async () => {
      const { seen } = sendNumbers({ credits })
      await settle()
      expect(seen.pulls).toBe(credits)
    })

    it(`stays ${credits} chunks ahead of a slow reader`, async () => {
      const { seen, stream } = sendNumbers({ credits })
      const reader = stream.getReader()
      for (let read = 1; read <= 10; read += 1) {
        await reader.read()
        await settle()
        expect(seen.pulls).toBe(read + credits)
      }
    })
  }

  it('hands out the chunks before an error, then the error with its code and text', async () => {
    const { stream } = sendNumbers({ failAt: 3 })
    const reader = stream.getReader()
    await settle()
    for (const expected of [0, 1, 2]) expect((await reader.read()).value).toBe(expected)
    const error = await reader.read().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(RivuletError)
    expect(error).toMatchObject({
      code: 'generation-failed',
      message: 'broken on purpose',
      text: 'generated text',
    })
  })

  it('cancels its source when the reader cancels, and later reads end', async () => {
    const { seen, stream } = sendNumbers()
    const reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    await settle()
    const { pulls } = seen
    expect(seen.isCancelled).toBe(true)
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    await settle()
    expect(seen.pulls).toBe(pulls)
  })

  it.each([['enough'], [undefined], [42]])(
    'carries the reason of a cancel to its source: %j',
    async (reason) => {
      const { seen, stream } = sendNumbers()
      await stream.cancel(reason)
      await settle()
      expect(seen).toMatchObject({ isCancelled: true, cancelReason: reason })
    },
  )

  it('carries an error as the reason of a cancel, with its type', async () => {
    const { seen, stream } = sendNumbers()
    await stream.cancel(new RivuletError('engine-disposed', 'over'))
    await settle()
    expect(seen.cancelReason).toBeInstanceOf(RivuletError)
    expect(seen.cancelReason).toMatchObject({ code: 'engine-disposed', message: 'over' })
  })

  it('that fails with a text fails with that text', async () => {
    const { port1, port2 } = new MessageChannel()
    sendStream(new ReadableStream({ start: (controller) => controller.error('a text') }), port1)
    await expect(readAll(receiveStream(port2, readAheadChunks))).rejects.toBe('a text')
  })

  it('fails and cancels its source when a chunk cannot be cloned', async () => {
    const { port1, port2 } = new MessageChannel()
    let reason: unknown
    const source = new ReadableStream(
      {
        pull: (controller) => controller.enqueue(() => {}),
        cancel: (cancelReason) => void (reason = cancelReason),
      },
      { highWaterMark: 0 },
    )
    sendStream(source, port1)
    const error = await readAll(receiveStream(port2, readAheadChunks)).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Error)
    expect(String(error)).toMatch(/clone/)
    expect(String(reason)).toMatch(/clone/)
  })
})
