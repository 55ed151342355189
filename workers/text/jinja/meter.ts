/** An error of a template: what jinja2 would raise, or a limit. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
}

/** The longest time of one rendering with many steps. A conversation of 1,000 exchanges takes about a thirtieth of it. */
const maxRenderMs = 1500
/** With fewer steps than this, the longest time is `maxSlowMs`, so that a busy machine does not stop an honest template. */
const manySteps = 500_000
const maxSlowMs = 6000
/** How many steps run between two looks at the clock. */
const stepsPerLook = 500
/** A search through this many characters counts as one step. */
const scannedPerStep = 256
/** The most characters and list elements that the values of one rendering may have together. */
const maxSize = 2 ** 28
const charactersPerElement = 16
/** The longest text and prompt. A list has at most a sixteenth of this number of elements. */
export const maxTextLength = 2 ** 24

/** Limits the time and the memory of one rendering: a template is an untrusted program. */
export class Meter {
  readonly #startedAt = performance.now()
  #steps = 0
  #nextLook = stepsPerLook
  #size = 0

  /** Counts one step. @throws TemplateError after the longest time */
  step(): void {
    this.#steps += 1
    if (this.#steps >= this.#nextLook) this.#look()
  }

  /** Counts an operation that reads a text of this length. @throws TemplateError after the longest time */
  scan(length: number): void {
    this.#steps += Math.floor(length / scannedPerStep)
    this.step()
  }

  /** Counts the characters of a new value, before it is created. @throws TemplateError beyond a limit */
  grow(length: number): void {
    // Negated, so that NaN is also beyond the limit.
    if (!(length <= maxTextLength)) {
      throw new TemplateError(`It creates a value that is longer than ${maxTextLength} characters.`)
    }
    this.#size += length
    if (this.#size > maxSize) throw new TemplateError(`It creates more than ${maxSize} characters.`)
    this.scan(length)
  }

  /** Counts the elements of a new list. An element takes more memory than a character. */
  growList(length: number): void {
    this.grow(length * charactersPerElement)
  }

  #look(): void {
    this.#nextLook = this.#steps + stepsPerLook
    const limit = this.#steps < manySteps ? maxSlowMs : maxRenderMs
    if (performance.now() - this.#startedAt > limit)
      throw new TemplateError(`It takes longer than ${limit} ms.`)
  }
}
