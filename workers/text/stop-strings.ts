/** Finds stop strings in a text that arrives in pieces. */
export interface StopMatcher {
  /**
   * Adds a piece of text.
   * @returns the text that cannot be part of a stop string, or the text before the stop string if one is complete
   */
  push(text: string): { readonly text: string; readonly hasStopped: boolean }
  /** Returns the text that was held back because it could be the start of a stop string. */
  flush(): string
}

export function createStopMatcher(stops: readonly string[]): StopMatcher {
  let held = ''
  return {
    push(text) {
      const seen = held + text
      const start = findStop(seen, stops)
      if (start !== undefined) {
        held = ''
        return { text: seen.slice(0, start), hasStopped: true }
      }
      const heldLength = Math.max(0, ...stops.map((stop) => countOverlap(seen, stop)))
      held = seen.slice(seen.length - heldLength)
      return { text: seen.slice(0, seen.length - heldLength), hasStopped: false }
    },
    flush() {
      const text = held
      held = ''
      return text
    },
  }
}

/**
 * Returns the start of the stop string that ends first. If several stop strings end at the same place, the longest wins.
 * The stop string that starts first is not used: it would depend on how the text is split into pieces.
 */
function findStop(text: string, stops: readonly string[]): number | undefined {
  const found = stops
    .map((stop) => ({ start: text.indexOf(stop), length: stop.length }))
    .filter(({ start }) => start >= 0)
    .toSorted((a, b) => a.start + a.length - (b.start + b.length) || b.length - a.length)
  return found[0]?.start
}

/** Returns the length of the longest suffix of `text` that is a prefix of `stop`. */
function countOverlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}
