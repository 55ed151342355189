import { describe, expect, it } from 'vitest'
import { createQueue, maxWaiting, type Queue } from './queue.js'

const never = () => new AbortController().signal

/** Lets every promise that can settle do so. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0))

/** Enters a queue and notes when its turn has come. */
function enter(queue: Queue, name: string, log: string[], signal = never()) {
  const turn = queue.enter(signal)
  void turn.ready.then(() => log.push(name))
  return turn
}

describe('turns', () => {
  it('come in the order in which they entered', async () => {
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

  it('are refused where too many wait, until one has its turn or has left', async () => {
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

  it('run side by side up to the capacity', async () => {
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

  it('that leave twice give one place', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    const [a] = ['a', 'b', 'c'].map((name) => enter(queue, name, log))
    a!.leave()
    a!.leave()
    await settle()
    expect(log).toEqual(['a', 'b'])
  })

  it('that are aborted while they wait give up their place and resolve', async () => {
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

  it('that are aborted while they run keep their place until they leave', async () => {
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

  it('with a signal that is aborted already do not wait', async () => {
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
  it('is known at once where nobody has entered', async () => {
    await expect(createQueue(1).whenIdle()).resolves.toBeUndefined()
  })

  it('is known when the last turn has left, to all who ask', async () => {
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

  it('takes turns again', async () => {
    const [queue, log] = [createQueue(1), [] as string[]]
    enter(queue, 'a', log).leave()
    await queue.whenIdle()
    enter(queue, 'b', log)
    await settle()
    expect(log).toEqual(['a', 'b'])
  })
})
