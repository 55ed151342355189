import { mostStepsAhead } from './decoder.js'

/**
 * A step that takes less time than this is short. Chromium polls for the end of submitted work: after each submit, and else once a
 * millisecond. Then the next step must already be submitted when the current one ends.
 */
const shortStepMs = 2

/** Chooses how many steps of an answer start before its current token is read back. */
export interface StepsAhead {
  /** 1, or 2 while steps are short. A cancelled or finished answer wastes as many steps. */
  readonly most: number
  /** Measures a step. @param sampled resolves when the token of the step is read back */
  track(sampled: Promise<unknown>): void
}

/** @param now as `performance.now` */
export function createStepsAhead(now = () => performance.now()): StepsAhead {
  let running = 0
  let stepMs = Infinity
  return {
    get most() {
      return stepMs < shortStepMs ? mostStepsAhead : 1
    },
    track(sampled) {
      running += 1
      const startMs = now()
      // The steps before it share this time.
      const steps = running
      const end = () => (running -= 1)
      sampled.then(() => (stepMs = (now() - startMs) / steps)).then(end, end)
    },
  }
}
