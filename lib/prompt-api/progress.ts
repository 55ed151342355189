/** Reports the progress of `create()` to the app's monitor. */
export interface Progress {
  /** Fires `downloadprogress`. @param fraction from 0 to 1; a fraction that is not larger than the last one is not reported */
  report(fraction: number): void
  /** Ends the reports. */
  stop(): void
}

/** Fractions are reported in steps of this size (writing-assistance-apis: "creating an AI model object"). */
const step = 2 ** -16

/**
 * Calls the app's monitor with the target of the events.
 * @throws TypeError if the monitor is no function; what the monitor throws
 */
export function createProgress(monitor: unknown): Progress {
  if (monitor === undefined) return { report() {}, stop() {} }
  if (typeof monitor !== 'function') throw new TypeError('"monitor" must be a function.')
  const target = new EventTarget()
  let last = -1
  let isOver = false
  monitor(target)
  return {
    report(fraction) {
      const loaded = Math.floor(Math.min(1, fraction) / step) * step
      if (isOver || loaded <= last) return
      last = loaded
      target.dispatchEvent(
        new ProgressEvent('downloadprogress', { loaded, total: 1, lengthComputable: true }),
      )
    },
    stop() {
      isOver = true
    },
  }
}
