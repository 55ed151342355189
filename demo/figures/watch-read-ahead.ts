/** Measures how many chunks were ready before the page read them. */
export interface ReadAheadWatch {
  addChunk(): void
  /** The largest number of chunks that were ready while an earlier one was read. */
  readonly max: number
}

/**
 * Counts the chunks that are read in one task. All of them were ready when the task started, because each new chunk arrives
 * in a separate task.
 * @param afterTask calls the callback in a later task
 */
export function watchReadAhead(afterTask: (callback: () => void) => void = runInNextTask): ReadAheadWatch {
  let read = 0
  let max = 0
  return {
    addChunk() {
      if (read === 0) afterTask(() => (read = 0))
      else max = Math.max(max, read)
      read += 1
    },
    get max() {
      return max
    },
  }
}

/** Uses a message: a timer is delayed by milliseconds, and another chunk could arrive meanwhile. */
function runInNextTask(callback: () => void): void {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    callback()
  }
  port2.postMessage('next')
}
