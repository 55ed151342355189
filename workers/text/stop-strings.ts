/** Finds stop strings in a text that arrives in pieces. */
export interface StopMatcher {
  /**
   * Adds a piece of text.
   * @returns the text that cannot be part of a stop string, or the text before the stop string if one is complete
   */
  push(text: string): { readonly text: string; readonly hasStopped: boolean }
  /**
   * Adds a control token. Its text is matched, but never returned. A stop string matches the whole token or nothing of it;
   * for a stop string that does not contain the token, the token is not there.
   */
  pushControl(token: string): { readonly text: string; readonly hasStopped: boolean }
  /** Returns the text that was held back because it could be the start of a stop string. */
  flush(): string
}

/** A control token in the text that the matcher sees. */
interface Control {
  readonly start: number
  readonly token: string
}

/** The text that is not yet returned, with the control tokens in it. */
interface Seen {
  readonly text: string
  readonly controls: readonly Control[]
}

const nothingSeen: Seen = { text: '', controls: [] }

export function createStopMatcher(stops: readonly string[]): StopMatcher {
  let held = nothingSeen

  function match(seen: Seen): { readonly text: string; readonly hasStopped: boolean } {
    const views = stops.map((stop) => ({ stop, view: hideControls(seen, stop) }))
    const start = findStop(views)
    if (start !== undefined) {
      held = nothingSeen
      return { text: hideControls(cut(seen, 0, start)).text, hasStopped: true }
    }
    const from = Math.min(seen.text.length, ...views.map(({ stop, view }) => findOverlap(view, stop)))
    held = cut(seen, from, seen.text.length)
    return { text: hideControls(cut(seen, 0, from)).text, hasStopped: false }
  }

  return {
    push: (text) => match({ text: held.text + text, controls: held.controls }),
    pushControl(token) {
      const control = { start: held.text.length, token }
      return match({ text: held.text + token, controls: [...held.controls, control] })
    },
    flush() {
      const { text } = hideControls(held)
      held = nothingSeen
      return text
    },
  }
}

/** A text without some of its control tokens, for one stop string. */
interface View extends Seen {
  /** Converts an index of this text to an index of the whole text. */
  toWhole(index: number): number
}

/** Removes the control tokens that are not in `stop`; all if it is left out. */
function hideControls({ text, controls }: Seen, stop = ''): View {
  const hidden = controls.filter(({ token }) => !stop.includes(token))
  let shown = ''
  let end = 0
  for (const { start, token } of hidden) {
    shown += text.slice(end, start)
    end = start + token.length
  }
  const toShown = (index: number) =>
    hidden.reduce((sum, { start, token }) => (start < index ? sum - token.length : sum), index)
  const kept = controls.filter((control) => !hidden.includes(control))
  return {
    text: shown + text.slice(end),
    controls: kept.map(({ start, token }) => ({ start: toShown(start), token })),
    toWhole: (index) =>
      hidden.reduce((whole, { start, token }) => (start < whole ? whole + token.length : whole), index),
  }
}

/** Returns a part of the text, with the control tokens that start in it. */
function cut({ text, controls }: Seen, from: number, to: number): Seen {
  return {
    text: text.slice(from, to),
    controls: controls
      .filter(({ start }) => start >= from && start < to)
      .map(({ start, token }) => ({ start: start - from, token })),
  }
}

/**
 * Returns the start of the stop string that ends first. If several stop strings end at the same place, the longest wins.
 * The stop string that starts first is not used: it would depend on how the text is split into pieces.
 */
function findStop(views: readonly { readonly stop: string; readonly view: View }[]): number | undefined {
  const found = views
    .map(({ stop, view }) => ({ start: findWhole(view, stop), stop, view }))
    .filter(({ start }) => start >= 0)
    .map(({ start, stop, view }) => ({
      start: view.toWhole(start),
      end: view.toWhole(start + stop.length),
      length: stop.length,
    }))
    .toSorted((a, b) => a.end - b.end || b.length - a.length)
  return found[0]?.start
}

/** Returns the first index of `stop` where it cuts no control token, or -1. */
function findWhole({ text, controls }: Seen, stop: string): number {
  for (let start = text.indexOf(stop); start >= 0; start = text.indexOf(stop, start + 1)) {
    if (!isInside(controls, start) && !isInside(controls, start + stop.length)) return start
  }
  return -1
}

/** Returns the index of the whole text at which `stop` could start that is not complete yet. */
function findOverlap(view: View, stop: string): number {
  const { text, controls } = view
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    const start = text.length - length
    if (text.endsWith(stop.slice(0, length)) && !isInside(controls, start)) return view.toWhole(start)
  }
  return Infinity
}

function isInside(controls: readonly Control[], index: number): boolean {
  return controls.some(({ start, token }) => start < index && index < start + token.length)
}
