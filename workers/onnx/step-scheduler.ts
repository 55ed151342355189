import { createDeferred } from '../../lib/contract/create-deferred.js'
import { nextTask } from './next-task.js'

/**
 * Lets the conversations of a model take turns: at any time, at most one run computes. A run for one conversation and a step
 * for the decoding conversations alternate, so that a new prompt delays the others by at most one run between two steps.
 */
export interface StepScheduler<Row> {
  /**
   * Adds a conversation that decodes. A step waits for its request: until its last step is read back, and then until the next
   * task. So it does not wait for a slow reader.
   */
  join(row: Row): void
  /** Removes a conversation. The others no longer wait for it. */
  leave(row: Row): void
  /** Computes one decode step of a conversation, together with the steps that others request at the same time. */
  step(row: Row): Promise<void>
  /** Runs `work` while nothing else computes. */
  run<Result>(work: () => Promise<Result>): Promise<Result>
  /** The number of conversations that decode. */
  readonly decodingCount: number
}

/** Settles the step of one conversation, so that it need not wait for those of the others. */
export interface StepReport<Row> {
  started(row: Row): void
  failed(row: Row, reason: unknown): void
}

/**
 * @param getMaxRows returns the largest number of conversations in one step
 * @param computeSteps computes one step for each of the conversations. Its end settles those that it has not reported
 * @param whenRead resolves when the step is read back whose token the conversation waits for; at once if there is none. Without
 *   it, conversations that have started at different times would never be computed together
 */
export function createStepScheduler<Row>(
  getMaxRows: () => number,
  computeSteps: (rows: readonly Row[], report: StepReport<Row>) => Promise<void>,
  whenRead: (row: Row) => Promise<unknown> = () => Promise.resolve(),
): StepScheduler<Row> {
  const steps = new Map<Row, ReturnType<typeof createDeferred<void>>>()
  const runs: (() => Promise<void>)[] = []
  const decoding = new Set<Row>()
  let isBusy = false
  let wasStep = false
  /** Called when a step is requested, or a conversation has left. */
  let onChange = () => {}

  const hasAll = () => steps.size >= getMaxRows() || [...decoding].every((row) => steps.has(row))

  /** Waits for the requests that conversations can make now. */
  async function waitForRequests(): Promise<void> {
    const missing = [...decoding].filter((row) => !steps.has(row))
    const complete = createDeferred<void>()
    onChange = () => void (hasAll() && complete.resolve())
    const read = Promise.all(missing.map((row) => whenRead(row).catch(() => {})))
    await Promise.race([complete.promise, read.then(nextTask)])
    onChange = () => {}
  }

  async function computeAll(): Promise<void> {
    if (isBusy) return
    isBusy = true
    while (steps.size > 0 || runs.length > 0) {
      const run = steps.size === 0 || wasStep ? runs.shift() : undefined
      wasStep = !run
      if (run) await run()
      else await computeStep()
    }
    isBusy = false
  }

  async function computeStep(): Promise<void> {
    if (getMaxRows() > 1 && !hasAll()) await waitForRequests()
    const chosen = new Map([...steps].slice(0, getMaxRows()))
    const rows = [...chosen.keys()]
    for (const row of rows) steps.delete(row)
    const report: StepReport<Row> = {
      started: (row) => chosen.get(row)?.resolve(),
      failed: (row, reason) => chosen.get(row)?.reject(reason),
    }
    try {
      await computeSteps(rows, report)
      for (const row of rows) report.started(row)
    } catch (error) {
      for (const row of rows) report.failed(row, error)
    }
  }

  return {
    get decodingCount() {
      return decoding.size
    },
    join: (row) => void decoding.add(row),
    leave(row) {
      decoding.delete(row)
      // Nobody waits for it any more.
      steps.delete(row)
      onChange()
    },
    step(row) {
      const request = createDeferred<void>()
      steps.set(row, request)
      onChange()
      void computeAll()
      return request.promise
    },
    run(work) {
      return new Promise((resolve, reject) => {
        runs.push(() => work().then(resolve, reject))
        void computeAll()
      })
    },
  }
}
