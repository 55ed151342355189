/** Looks for stop strings in a text that arrives in pieces. */
export interface StopMatcher {
  /** The part of the text that cannot belong to a stop string, up to the first stop string if there is one. */
  push(text: string): { readonly text: string; readonly hasStopped: boolean }
  /** What was held back because a stop string might have begun there. */
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
 * Where the stop string begins that is complete first; of several that end at one place the longest.
 * Not the one that begins first: that would depend on how the text is cut into pieces.
 */
function findStop(text: string, stops: readonly string[]): number | undefined {
  const found = stops
    .map((stop) => ({ start: text.indexOf(stop), length: stop.length }))
    .filter(({ start }) => start >= 0)
    .toSorted((a, b) => a.start + a.length - (b.start + b.length) || b.length - a.length)
  return found[0]?.start
}

/** The length of the longest end of `text` that `stop` begins with. */
function countOverlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}
