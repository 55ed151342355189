/** An error of a template: what jinja2 would raise, or a limit. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
}

/** The longest time that one rendering may take. A conversation of 1,000 exchanges takes a few hundredths of it. */
const maxRenderMs = 1500
/** How many steps run between two looks at the clock. */
const stepsPerLook = 500
/** The most characters and list elements that the values of one rendering may have together. */
const maxSize = 2 ** 28
const charactersPerElement = 16
/** The longest text and prompt. A list has at most a sixteenth of this number of elements. */
export const maxTextLength = 2 ** 24

/** Limits the time and the memory of one rendering: a template is an untrusted program. */
export class Meter {
  readonly #startedAt = performance.now()
  #steps = 0
  #size = 0

  /** Counts one step. @throws TemplateError after the longest time */
  step(): void {
    this.#steps += 1
    if (this.#steps % stepsPerLook === 0) this.#look()
  }

  /** Counts the characters or elements of a new value, before it is created. @throws TemplateError beyond a limit */
  grow(size: number): void {
    // Negated, so that NaN is also beyond the limit.
    if (!(size <= maxTextLength))
      throw new TemplateError(`It creates a value that is longer than ${maxTextLength} characters.`)
    this.#size += size
    if (this.#size > maxSize) throw new TemplateError(`It creates more than ${maxSize} characters.`)
    if (size > stepsPerLook) this.#look()
  }

  /** Counts the elements of a new list. An element takes more memory than a character. */
  growList(length: number): void {
    this.grow(length * charactersPerElement)
  }

  #look(): void {
    if (performance.now() - this.#startedAt > maxRenderMs) {
      throw new TemplateError(`It takes longer than ${maxRenderMs} ms.`)
    }
  }
}
