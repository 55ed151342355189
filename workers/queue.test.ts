import { describe, expect, it } from 'vitest'
import { createQueue, maxWaiting, type Queue } from './queue.js'

const never = () => new AbortController().signal

/** Lets all promises settle that can. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0))

/** Enters a queue, and logs the name when its turn starts. */
function enter(queue: Queue, name: string, log: string[], signal = never()) {
  const turn = queue.enter(signal)
  void turn.ready.then(() => log.push(name))
  return turn
}

describe('turns in a queue', () => {
  it('start in the order in which they entered', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const turns = ['a', 'b', 'c'].map((name) => enter(queue, name, log))
    await settle()
    expect(log).toEqual(['a'])
    for (const turn of turns) {
      turn.leave()
      await settle()
    }
    expect(log).toEqual(['a', 'b', 'c'])
  })

  it('are refused while too many wait', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const running = enter(queue, 'running', log)
    const leaving = new AbortController()
    enter(queue, 'leaving', log, leaving.signal)
    for (let index = 1; index < maxWaiting; index += 1) enter(queue, String(index), log)
    const refusal = expect.objectContaining({ code: 'queue-full' })
    expect(() => queue.enter(never())).toThrow(refusal)
    leaving.abort()
    enter(queue, 'next', log)
    expect(() => queue.enter(never())).toThrow(refusal)
    running.leave()
    enter(queue, 'last', log)
    await settle()
    expect(log).toEqual(['running', 'leaving', '1'])
  })

  it('run at the same time up to the capacity', async () => {
    const [queue, log] = [createQueue(2), [] as string[]]
    const [a, b] = ['a', 'b', 'c', 'd'].map((name) => enter(queue, name, log))
    await settle()
    expect(log).toEqual(['a', 'b'])
    b!.leave()
    await settle()
    expect(log).toEqual(['a', 'b', 'c'])
    a!.leave()
    await settle()
    expect(log).toEqual(['a', 'b', 'c', 'd'])
  })

  it('free one place even if they leave twice', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const [a] = ['a', 'b', 'c'].map((name) => enter(queue, name, log))
    a!.leave()
    a!.leave()
    await settle()
    expect(log).toEqual(['a', 'b'])
  })

  it('leave the queue and resolve when they are aborted while waiting', async () => {
    const [queue, log, abort] = [createQueue(1), [] as string[], new AbortController()]
    const a = enter(queue, 'a', log)
    const b = enter(queue, 'b', log, abort.signal)
    enter(queue, 'c', log)
    abort.abort()
    await settle()
    expect(log).toEqual(['a', 'b'])
    b.leave()
    await settle()
    expect(log).toEqual(['a', 'b'])
    a.leave()
    await settle()
    expect(log).toEqual(['a', 'b', 'c'])
  })

  it('keep their place until they leave when they are aborted while running', async () => {
    const [queue, log, abort] = [createQueue(1), [] as string[], new AbortController()]
    const a = enter(queue, 'a', log, abort.signal)
    enter(queue, 'b', log)
    abort.abort()
    await settle()
    expect(log).toEqual(['a'])
    a.leave()
    await settle()
    expect(log).toEqual(['a', 'b'])
  })

  it('do not wait when their signal is already aborted', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const a = enter(queue, 'a', log)
    enter(queue, 'b', log, AbortSignal.abort()).leave()
    enter(queue, 'c', log)
    await settle()
    expect(log).toEqual(['a', 'b'])
    a.leave()
    await settle()
    expect(log).toEqual(['a', 'b', 'c'])
  })
})

describe('an idle queue', () => {
  it('is reported at once when nothing has entered', async () => {
    await expect(createQueue(1).whenIdle()).resolves.toBeUndefined()
  })

  it('is reported to every caller when the last turn has left', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const a = enter(queue, 'a', log)
    const b = enter(queue, 'b', log)
    for (const name of ['idle 1', 'idle 2']) void queue.whenIdle().then(() => log.push(name))
    await settle()
    a.leave()
    await settle()
    expect(log).toEqual(['a', 'b'])
    b.leave()
    await settle()
    expect(log).toEqual(['a', 'b', 'idle 1', 'idle 2'])
  })

  it('accepts new turns', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    enter(queue, 'a', log).leave()
    await queue.whenIdle()
    enter(queue, 'b', log)
    await settle()
    expect(log).toEqual(['a', 'b'])
  })
})
