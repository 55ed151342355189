/** How many chunks were there before their reader came for them. */
export interface ReadAheadWatch {
  addChunk(): void
  /** The most that waited behind one that was being read. */
  readonly most: number
}

/**
 * Chunks that are read within one task were all there when it began: a chunk on its way takes a task of its own to arrive.
 * @param afterTask calls back in a later task
 */
export function watchReadAhead(afterTask: (callback: () => void) => void = runInNextTask): ReadAheadWatch {
  let read = 0
  let most = 0
  return {
    addChunk() {
      if (read === 0) afterTask(() => (read = 0))
      else most = Math.max(most, read)
      read += 1
    },
    get most() {
      return most
    },
  }
}

/** Not a timer: those are put off by milliseconds, in which another chunk comes. */
function runInNextTask(callback: () => void): void {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    port1.close()
    callback()
  }
  port2.postMessage('next')
}
