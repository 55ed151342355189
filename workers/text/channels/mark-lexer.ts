/** A piece of an answer: text, one of the marks, or another control token. */
export type Unit =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'mark'; readonly text: string }
  | { readonly kind: 'control'; readonly text: string }

/** Finds marks in a text that arrives in pieces. The same text gives the same units, wherever it is split. */
export interface MarkLexer {
  push(text: string): readonly Unit[]
  /** Adds a control token. It is a mark only as a whole, and no mark of text goes across it. */
  pushControl(token: string): readonly Unit[]
  /** Returns the text that was held back because it could be the start of a mark. It is shorter than the longest mark. */
  flush(): readonly Unit[]
}

/**
 * @param marks not empty, each
 * @param isControl true for a mark that is a control token of the model. In text, it is not a mark: the model quotes it
 */
export function createMarkLexer(marks: readonly string[], isControl: (mark: string) => boolean): MarkLexer {
  const textMarks = marks.filter((mark) => !isControl(mark))
  let held = ''

  function read(text: string, isEnd: boolean): Unit[] {
    const units: Unit[] = []
    let rest = text
    for (;;) {
      const found = findMark(rest, textMarks)
      // A longer mark that starts at the same place can still arrive.
      const open = isEnd ? Infinity : findOpenMark(rest, textMarks)
      if (!found || open <= found.start) {
        const end = Math.min(open, rest.length)
        if (end > 0) units.push({ kind: 'text', text: rest.slice(0, end) })
        held = rest.slice(end)
        return units
      }
      if (found.start > 0) units.push({ kind: 'text', text: rest.slice(0, found.start) })
      units.push({ kind: 'mark', text: found.mark })
      rest = rest.slice(found.start + found.mark.length)
    }
  }

  return {
    push: (text) => read(held + text, false),
    pushControl(token) {
      const before = read(held, true)
      return [...before, { kind: marks.includes(token) ? 'mark' : 'control', text: token }]
    },
    flush: () => read(held, true),
  }
}

interface FoundMark {
  readonly start: number
  readonly mark: string
}

/** Returns the first mark of a text, and the longest of those that start at the same place. */
function findMark(text: string, marks: readonly string[]): FoundMark | undefined {
  let first: FoundMark | undefined
  for (const mark of marks) {
    const start = text.indexOf(mark)
    if (start < 0) continue
    if (!first || start < first.start || (start === first.start && mark.length > first.mark.length)) {
      first = { start, mark }
    }
  }
  return first
}

/** Returns the first index at which the text ends with an incomplete mark, or Infinity. */
function findOpenMark(text: string, marks: readonly string[]): number {
  const lengths = marks.map((mark) => {
    for (let length = Math.min(text.length, mark.length - 1); length > 0; length -= 1) {
      if (text.endsWith(mark.slice(0, length))) return length
    }
    return 0
  })
  const longest = Math.max(0, ...lengths)
  return longest === 0 ? Infinity : text.length - longest
}
