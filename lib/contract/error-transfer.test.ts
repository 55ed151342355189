import { expose, releaseProxy, wrap } from 'comlink'
import { afterEach, describe, expect, it } from 'vitest'
import { deserializeThrown, installErrorTransfer, serializeThrown } from './error-transfer.js'
import { RivuletError, asRivuletError, describeError } from './errors.js'

/** Sends an error across a thread boundary. */
const crossAny = (thrown: unknown) => deserializeThrown(structuredClone(serializeThrown(thrown)))
const cross = (error: Error) => crossAny(error) as Error

describe('an error sent to another thread', () => {
  it('is still a RivuletError, with code, message, text and stack', () => {
    const error = new RivuletError('generation-failed', 'The GPU is gone.', { text: 'Once upon' })
    const crossed = cross(error)
    expect(crossed).toBeInstanceOf(RivuletError)
    expect(crossed).toBeInstanceOf(Error)
    expect(crossed).toMatchObject({
      name: 'RivuletError',
      code: 'generation-failed',
      message: 'The GPU is gone.',
      text: 'Once upon',
      stack: error.stack,
    })
    expect('cause' in crossed).toBe('cause' in error)
  })

  it('keeps its causes, each with its type', () => {
    const root = new TypeError('No adapter.')
    const middle = new RivuletError('backend-unavailable', 'No GPU.', { cause: root })
    const crossed = cross(new RivuletError('worker-failed', 'Could not start.', { cause: middle }))
    expect(crossed.cause).toBeInstanceOf(RivuletError)
    expect(crossed.cause).toMatchObject({ code: 'backend-unavailable', message: 'No GPU.' })
    const crossedRoot = (crossed.cause as Error).cause
    expect(crossedRoot).toBeInstanceOf(Error)
    expect(crossedRoot).not.toBeInstanceOf(RivuletError)
    expect(crossedRoot).toMatchObject({ name: 'TypeError', message: 'No adapter.', stack: root.stack })
  })

  it('is cut off where its causes form a cycle', () => {
    const [a, b] = [new Error('a'), new Error('b')]
    Object.assign(a, { cause: b })
    Object.assign(b, { cause: a })
    const messages: string[] = []
    for (let error: unknown = cross(a); error instanceof Error; error = error.cause)
      messages.push(error.message)
    expect(messages.slice(0, 4)).toEqual(['a', 'b', 'a', 'b'])
    expect(messages.length).toBeLessThan(20)
  })

  it.each([['a text'], [undefined], [null], [42], [{ code: 'x' }]])(
    'stays what it is when it is not an error: %j',
    (thrown) => {
      expect(crossAny(thrown)).toEqual(thrown)
      expect(cross(new Error('outer', { cause: thrown })).cause).toEqual(thrown)
    },
  )

  it('is an Error with a description when it cannot be cloned', () => {
    for (const thrown of [Symbol('s'), () => {}]) {
      expect(crossAny(thrown)).toMatchObject({ name: 'Error', message: String(thrown) })
    }
  })

  it('keeps the name of a DOMException, but not its numeric code', () => {
    const crossed = cross(new DOMException('Stopped.', 'AbortError'))
    expect(crossed).toMatchObject({ name: 'AbortError', message: 'Stopped.' })
    expect(crossed).not.toBeInstanceOf(RivuletError)
  })
})

describe('a call over Comlink', () => {
  const closings: (() => void)[] = []
  afterEach(() => {
    for (const close of closings.splice(0)) close()
  })

  /** Throws a value at the other end of a real channel, and returns what arrives. */
  async function callAndThrow(thrown: unknown): Promise<unknown> {
    const { port1, port2 } = new MessageChannel()
    const fail = (): void => {
      throw thrown
    }
    expose({ fail }, port1)
    const remote = wrap<{ fail: () => void }>(port2)
    closings.push(() => {
      remote[releaseProxy]()
      port1.close()
    })
    return remote.fail().catch((error: unknown) => error)
  }

  it('rejects with the RivuletError that was thrown', async () => {
    installErrorTransfer()
    const cause = new Error('404')
    const error = await callAndThrow(new RivuletError('model-not-found', 'No model.', { cause, text: 'a' }))
    expect(error).toBeInstanceOf(RivuletError)
    expect(error).toMatchObject({
      code: 'model-not-found',
      message: 'No model.',
      text: 'a',
      cause: { message: '404' },
    })
  })

  it('rejects with any other value as Comlink does', async () => {
    installErrorTransfer()
    const error = await callAndThrow(new RangeError('Too far.'))
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBeInstanceOf(RivuletError)
    expect(error).toMatchObject({ name: 'RangeError', message: 'Too far.' })
    expect(await callAndThrow({ just: 'data' })).toEqual({ just: 'data' })
  })
})

describe('a wrapped error', () => {
  it('gets a code and keeps the original as its cause', () => {
    const cause = new TypeError('x is undefined')
    expect(asRivuletError(cause, 'generation-failed', 'The model failed')).toMatchObject({
      code: 'generation-failed',
      message: 'The model failed: x is undefined',
      cause,
    })
  })

  it('is unchanged if it already has a code', () => {
    const error = new RivuletError('prompt-too-long', 'Too long.')
    expect(asRivuletError(error, 'generation-failed', 'The model failed')).toBe(error)
  })

  it('is described by its name if it has no message', () => {
    expect(describeError(new TypeError())).toBe('TypeError')
    expect(describeError('text')).toBe('text')
  })
})
