/** The maximum length of white space that is held back because a mark can follow. */
const maxHeldSpace = 256

/** Holds back the white space at the end of a text: the space before a mark belongs to the mark. */
export interface HeldSpace {
  /** Returns the text that cannot be the space before a mark. */
  push(text: string): string
  /** Returns the held space, and forgets it. */
  take(): string
}

export function createHeldSpace(): HeldSpace {
  let held = ''
  return {
    push(text) {
      const whole = held + text
      let start = whole.trimEnd().length
      // Independent of how the text is split: a run of white space leaves in blocks of one length.
      while (whole.length - start > maxHeldSpace) start += maxHeldSpace
      held = whole.slice(start)
      return whole.slice(0, start)
    },
    take() {
      const space = held
      held = ''
      return space
    },
  }
}
