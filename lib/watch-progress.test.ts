import { describe, expect, it } from 'vitest'
import type { Connection } from './connect-worker.js'
import type { RivuletError } from './contract/errors.js'
import type { WorkerStatus } from './contract/worker-api.js'
import { watchLoad, watchProgress, type WatchClock } from './watch-progress.js'

/** A clock that a test moves. */
function createClock() {
  let now = 0
  let waiting: { readonly at: number; readonly run: () => void } | undefined
  const clock: WatchClock = {
    now: () => now,
    wait(run, ms) {
      const entry = { at: now + ms, run }
      waiting = entry
      return () => {
        if (waiting === entry) waiting = undefined
      }
    },
  }
  return {
    clock,
    get isWaiting() {
      return waiting !== undefined
    },
    async pass(ms: number) {
      for (const end = now + ms; ;) {
        if (!waiting || waiting.at > end) {
          now = end
          return
        }
        const { at, run } = waiting
        now = Math.max(now, at)
        waiting = undefined
        run()
        // The worker's answer arrives.
        await new Promise((resolve) => setTimeout(resolve))
      }
    },
    /** No timer runs, as in a frozen page. */
    freeze(ms: number) {
      now += ms
    },
  }
}

/** Stands in for a worker. It answers while `status` is set. */
function watchScripted(isElsewhere = false, timeoutMs = 60_000) {
  const closing = new AbortController()
  const time = createClock()
  const worker = { status: undefined as Omit<WorkerStatus, 'scriptUrl'> | undefined }
  const connection: Connection = {
    // Cast: the watch calls this method only.
    call: (run) =>
      run({
        readStatus: () =>
          worker.status ? Promise.resolve({ scriptUrl: '', ...worker.status }) : new Promise(() => {}),
      } as never),
    closed: closing.signal,
    terminate: (reason: RivuletError) => closing.abort(reason),
  }
  return {
    watch: watchProgress(connection, isElsewhere, timeoutMs, time.clock),
    connection,
    worker,
    time,
    closed: closing.signal,
  }
}

const nothing = () => 0

describe('the progress of a worker (scripted worker)', () => {
  it('is watched by its thread: a worker that answers nothing is ended', async () => {
    const { watch, time, closed } = watchScripted()
    watch.enter(nothing)
    await time.pass(58_000)
    expect(closed.aborted).toBe(false)
    await time.pass(6000)
    expect(closed.reason).toMatchObject({
      code: 'worker-failed',
      message: expect.stringContaining('no progress'),
    })
  })

  it('is watched by its steps: a worker that answers, but computes the same step, is ended', async () => {
    const { watch, worker, time, closed } = watchScripted()
    worker.status = { steps: 5, isComputing: true }
    watch.enter(nothing)
    await time.pass(70_000)
    expect(closed.reason).toMatchObject({ code: 'worker-failed' })
  })

  it('is not required of a worker that nobody reads, or that waits for others', async () => {
    const { watch, worker, time, closed } = watchScripted()
    worker.status = { steps: 5, isComputing: false }
    watch.enter(nothing)
    await time.pass(600_000)
    expect(closed.aborted).toBe(false)
  })

  it('may be as slow as it was before, times ten', async () => {
    const { watch, worker, time, closed } = watchScripted()
    watch.enter(nothing)
    for (let steps = 0; steps < 4; steps += 1) {
      worker.status = { steps, isComputing: true }
      await time.pass(40_000)
    }
    await time.pass(300_000)
    expect(closed.aborted).toBe(false)
    await time.pass(200_000)
    expect(closed.aborted).toBe(true)
  })

  it('has more time for a longer prompt', async () => {
    const { watch, time, closed } = watchScripted()
    watch.enter(() => 200_000)
    await time.pass(250_000)
    expect(closed.aborted).toBe(false)
    await time.pass(20_000)
    expect(closed.aborted).toBe(true)
  })

  it('does not count the time in which the page was frozen', async () => {
    const { watch, time, closed } = watchScripted()
    watch.enter(nothing)
    await time.pass(10_000)
    time.freeze(3_600_000)
    await time.pass(10_000)
    expect(closed.aborted).toBe(false)
  })

  it('is not required while a server computes, but the worker has to answer', async () => {
    const { watch, worker, time, closed } = watchScripted(true)
    worker.status = { steps: 5, isComputing: true }
    watch.enter(nothing)
    await time.pass(600_000)
    expect(closed.aborted).toBe(false)
    worker.status = undefined
    await time.pass(70_000)
    expect(closed.aborted).toBe(true)
  })

  it('is watched only while a stream is open', async () => {
    const { watch, time, closed } = watchScripted()
    const leave = [watch.enter(nothing), watch.enter(() => 250)]
    for (const run of leave) run()
    expect(time.isWaiting).toBe(false)
    await time.pass(600_000)
    expect(closed.aborted).toBe(false)
  })
})

describe('a worker that loads a model (scripted worker)', () => {
  it('has to answer, however far it is, with more time for a larger model', async () => {
    const { connection, worker, time, closed } = watchScripted()
    worker.status = { steps: 0, isComputing: false }
    const watch = watchLoad(connection, 60_000, time.clock)
    watch.setTotalBytes(200e6)
    await time.pass(0)
    // Shaders are compiled: the thread is free.
    await time.pass(3_600_000)
    worker.status = undefined
    await time.pass(76_000)
    expect(watch.isSilent).toBe(false)
    await time.pass(10_000)
    expect(watch.isSilent).toBe(true)
    expect(closed.reason).toMatchObject({ code: 'worker-failed' })
  })

  it('is watched from its first answer to the end of the load', async () => {
    const { connection, worker, time, closed } = watchScripted()
    const unanswered = watchLoad(connection, 60_000, time.clock)
    await time.pass(600_000)
    unanswered.leave()
    worker.status = { steps: 0, isComputing: false }
    const watch = watchLoad(connection, 60_000, time.clock)
    await new Promise((resolve) => setTimeout(resolve))
    expect(time.isWaiting).toBe(true)
    watch.leave()
    expect(time.isWaiting).toBe(false)
    expect(closed.aborted).toBe(false)
  })

  it('is not watched without a limit', async () => {
    const { connection, worker, time } = watchScripted()
    worker.status = { steps: 0, isComputing: false }
    watchLoad(connection, Infinity, time.clock)
    await new Promise((resolve) => setTimeout(resolve))
    expect(time.isWaiting).toBe(false)
  })
})
