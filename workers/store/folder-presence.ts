/**
 * Collects the evidence that a folder's server sends files at all. A file that the server refuses counts as missing only if
 * the server sends another file of the folder.
 */
export interface FolderPresence {
  /** Runs a read. Its `path` is evidence if `run` returns a file. */
  during<T>(path: string, run: () => Promise<T>): Promise<T>
  /**
   * Returns a path that the folder has. Waits for the reads that are still running. Returns undefined if all of them wait
   * here too, or have ended without a file.
   */
  find(): Promise<string | undefined>
  /** A path that the folder has, if one is known by now. */
  readonly knownPath: string | undefined
}

export function watchPresence(): FolderPresence {
  let knownPath: string | undefined
  let running = 0
  const waiting = new Set<(path: string | undefined) => void>()

  function settle(): void {
    if (knownPath === undefined && running > waiting.size) return
    for (const resolve of waiting) resolve(knownPath)
    waiting.clear()
  }

  return {
    get knownPath() {
      return knownPath
    },
    async during(path, run) {
      running += 1
      try {
        const result = await run()
        if (result !== undefined) knownPath ??= path
        return result
      } finally {
        running -= 1
        settle()
      }
    },
    find() {
      const found = new Promise<string | undefined>((resolve) => waiting.add(resolve))
      settle()
      return found
    },
  }
}
