import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../lib/contract/create-deferred.js'
import { createStepScheduler } from './step-scheduler.js'

/**
 * Logs what computes; a run or a step takes one task.
 * @param whenRead as in `createStepScheduler`
 */
function open(maxRows: number, whenRead?: (row: string) => Promise<unknown>) {
  const log: string[] = []
  const wait = () => new Promise((resolve) => setTimeout(resolve, 1))
  const scheduler = createStepScheduler<string>(
    () => maxRows,
    async (rows) => {
      log.push(rows.join('+'))
      await wait()
      if (rows.includes('broken')) throw new Error('broken')
    },
    whenRead,
  )
  const run = (name: string) =>
    scheduler.run(async () => {
      log.push(name)
      await wait()
      return name
    })
  /** Decodes as a generation does: each step is requested after the last one. */
  const decode = async (row: string, steps: number) => {
    scheduler.join(row)
    for (let count = 0; count < steps; count += 1) await scheduler.step(row)
    scheduler.leave(row)
  }
  return { log, scheduler, run, decode }
}

describe('the steps of conversations', () => {
  it('are computed together, also of one that joins, until each leaves', async () => {
    const { log, decode } = open(4)
    await Promise.all([decode('a', 3), decode('b', 2), decode('c', 1)])
    const sorted = log.map((rows) => rows.split('+').toSorted().join('+'))
    expect(sorted).toEqual(['a', 'a+b+c', 'a+b'])
  })

  it('take turns if they cannot be computed together', async () => {
    const { log, decode } = open(1)
    await Promise.all([decode('a', 3), decode('b', 3)])
    expect(log).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
  })

  it('are no more than fit into one run, and none of them starves', async () => {
    const { log, decode } = open(2)
    await Promise.all([decode('a', 4), decode('b', 4), decode('c', 4)])
    const parts = log.map((rows) => rows.split('+'))
    expect(parts.every((rows) => rows.length <= 2)).toBe(true)
    for (const row of ['a', 'b', 'c']) {
      const places = parts.flatMap((rows, index) => (rows.includes(row) ? [index] : []))
      expect(Math.max(...places.slice(1).map((place, index) => place - places[index]!))).toBeLessThanOrEqual(
        2,
      )
    }
  })

  it('do not wait for a conversation that requests none', async () => {
    const { log, scheduler, decode } = open(4)
    scheduler.join('unread')
    await decode('a', 2)
    expect(log).toEqual(['a', 'a'])
    expect(scheduler.decodingCount).toBe(1)
  })

  it('fall in step if they have started at different times, also while each step takes long to be read back', async () => {
    const reading = new Map<string, Promise<unknown>>()
    const { log, scheduler } = open(4, (row) => reading.get(row) ?? Promise.resolve())
    const decode = async (row: string, steps: number) => {
      scheduler.join(row)
      for (let count = 0; count < steps; count += 1) {
        await scheduler.step(row)
        reading.set(row, new Promise((resolve) => setTimeout(resolve, 20)))
        await reading.get(row)
        reading.delete(row)
      }
      scheduler.leave(row)
    }
    const first = decode('a', 6)
    await new Promise((resolve) => setTimeout(resolve, 10))
    await Promise.all([first, decode('b', 5)])
    const sorted = log.map((rows) => rows.split('+').toSorted().join('+'))
    expect(sorted).toEqual(['a', 'a+b', 'a+b', 'a+b', 'a+b', 'a+b'])
  })

  it('start at once when all have requested one, even if earlier steps are still being read back', async () => {
    const { log, scheduler } = open(4, () => new Promise(() => {}))
    for (const row of ['a', 'b', 'c']) scheduler.join(row)
    const steps = [scheduler.step('a'), scheduler.step('b')]
    scheduler.leave('c')
    await Promise.all(steps)
    expect(log).toEqual(['a+b'])
  })

  it('alternate with runs, however many wait', async () => {
    const { log, run, decode } = open(4)
    await Promise.all([decode('a', 4), run('prompt 1'), run('prompt 2'), run('prompt 3')])
    expect(log).toEqual(['a', 'prompt 1', 'a', 'prompt 2', 'a', 'prompt 3', 'a'])
  })

  it('are settled one by one if they are reported', async () => {
    const { promise: recording, resolve: finish } = createDeferred<void>()
    const scheduler = createStepScheduler<string>(
      () => 4,
      async (rows, report) => {
        if (rows.includes('broken')) report.failed('broken', new Error('broken'))
        if (rows.includes('fast')) report.started('fast')
        await recording
      },
    )
    for (const row of ['slow', 'broken', 'fast']) scheduler.join(row)
    const slow = scheduler.step('slow').then(() => 'slow')
    const broken = scheduler.step('broken')
    const fast = scheduler.step('fast').then(() => 'fast')
    await expect(broken).rejects.toThrow('broken')
    expect(await Promise.race([slow, fast])).toBe('fast')
    finish()
    expect(await slow).toBe('slow')
  })

  it('fail together, and the next ones are computed', async () => {
    const { log, scheduler, run } = open(4)
    for (const row of ['a', 'broken']) scheduler.join(row)
    const steps = await Promise.allSettled([scheduler.step('a'), scheduler.step('broken')])
    expect(steps.map(({ status }) => status)).toContain('rejected')
    await expect(scheduler.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    scheduler.leave('broken')
    await scheduler.step('a')
    expect(await run('prompt')).toBe('prompt')
    expect(log.slice(-2)).toEqual(['a', 'prompt'])
  })
})
