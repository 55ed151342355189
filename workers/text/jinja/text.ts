/**
 * A string that knows the origin of each character: the template, or the content of a message. Every operation keeps the
 * origins, so that a rendered prompt tells template text from content. Immutable.
 *
 * `value` is indexed in UTF-16 code units. Python counts code points, so `length`, `slice` and `characters` do, too.
 */
export class Text {
  // Not `new Text`: in Vite's builds, the name of the class is assigned after its static initializers.
  static readonly empty = new this('', [])

  readonly value: string
  /**
   * The ranges of `value` that are content: start, end, start, end, … The ranges are ascending, not empty, and do not
   * touch each other.
   */
  readonly ranges: readonly number[]
  /** True for what the filters `safe` and `escape` return: `+` escapes the text that it joins with such a string. */
  readonly isMarkup: boolean
  /** For a string with characters of two code units: the start of each character, and the length. */
  #starts: Uint32Array | undefined
  #isNarrow: boolean | undefined

  private constructor(value: string, ranges: readonly number[], isMarkup = false) {
    this.value = value
    this.ranges = ranges
    this.isMarkup = isMarkup
  }

  static ofTemplate(value: string): Text {
    return value === '' ? Text.empty : new Text(value, noRanges)
  }

  static ofContent(value: string): Text {
    return value === '' ? Text.empty : new Text(value, [0, value.length])
  }

  static join(parts: readonly Text[]): Text {
    if (parts.length === 0) return Text.empty
    if (parts.length === 1) return parts[0]!.as('plain')
    const ranges: number[] = []
    let length = 0
    for (const part of parts) {
      for (let index = 0; index < part.ranges.length; index += 2) {
        const start = length + part.ranges[index]!
        const end = length + part.ranges[index + 1]!
        if (ranges.at(-1) === start && ranges.length > 0) ranges[ranges.length - 1] = end
        else ranges.push(start, end)
      }
      length += part.value.length
    }
    return Text.#create(parts.map(({ value }) => value).join(''), ranges)
  }

  static #create(value: string, ranges: readonly number[], isMarkup = false): Text {
    return value === '' && !isMarkup ? Text.empty : new Text(value, ranges, isMarkup)
  }

  /** Returns the same string, marked as markup or not. */
  as(kind: 'markup' | 'plain'): Text {
    const isMarkup = kind === 'markup'
    return isMarkup === this.isMarkup ? this : Text.#create(this.value, this.ranges, isMarkup)
  }

  /** True if every character is one code unit. */
  get #hasOnlyUnits(): boolean {
    return (this.#isNarrow ??= !/[\uD800-\uDBFF][\uDC00-\uDFFF]/.test(this.value))
  }

  /** The number of characters (code points). */
  get length(): number {
    return this.#hasOnlyUnits ? this.value.length : this.#findStarts().length - 1
  }

  concat(other: Text): Text {
    if (other.value === '') return this.as('plain')
    if (this.value === '') return other.as('plain')
    if (this.ranges.length + other.ranges.length === 0) return new Text(this.value + other.value, noRanges)
    const shift = this.value.length
    const moved = other.ranges.map((place) => place + shift)
    const touches = this.ranges.at(-1) === shift && moved[0] === shift
    const ranges = touches ? [...this.ranges.slice(0, -1), ...moved.slice(1)] : this.ranges.concat(moved)
    return new Text(this.value + other.value, ranges)
  }

  /** Returns the part between two places, in code units. */
  cut(from: number, to = this.value.length): Text {
    if (from <= 0 && to >= this.value.length) return this
    if (from >= to) return Text.#create('', noRanges, this.isMarkup)
    const { ranges } = this
    const cut: number[] = []
    for (let index = findRange(ranges, from); index < ranges.length && ranges[index]! < to; index += 2) {
      cut.push(Math.max(ranges[index]!, from) - from, Math.min(ranges[index + 1]!, to) - from)
    }
    return Text.#create(this.value.slice(from, to), cut, this.isMarkup)
  }

  /** Returns the part between two places, in characters. The places must be from 0 to `length`. */
  slice(from: number, to: number): Text {
    if (this.#hasOnlyUnits) return this.cut(from, to)
    const starts = this.#findStarts()
    return this.cut(starts[from]!, starts[to]!)
  }

  /** Converts a place in code units to a place in characters. */
  countCharacters(place: number): number {
    if (this.#hasOnlyUnits) return place
    const starts = this.#findStarts()
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (starts[middle]! < place) low = middle + 1
      else high = middle
    }
    return low
  }

  *characters(): Generator<Text, void, undefined> {
    let place = 0
    for (const character of this.value) {
      yield this.cut(place, place + character.length).as('plain')
      place += character.length
    }
  }

  /** Converts the string. Characters whose place cannot be followed take the origin of the range that they are in. */
  convert(convert: (value: string) => string): Text {
    const converted = convert(this.value)
    if (converted.length === this.value.length) return Text.#create(converted, this.ranges, this.isMarkup)
    return this.#joinLike(this.pieces().map((piece) => piece.#convertPiece(convert)))
  }

  /** Replaces each match of one character. A replacement has the origin of its character. */
  replaceEach(pattern: RegExp, replace: (character: string) => string): Text {
    if (this.value.search(pattern) === -1) return this
    return this.#joinLike(
      this.pieces().map((piece) => piece.#convertPiece((value) => value.replace(pattern, replace))),
    )
  }

  reversed(): Text {
    const reverse = (value: string) => [...value].toReversed().join('')
    return this.#joinLike(
      this.pieces()
        .map((piece) => piece.#convertPiece(reverse))
        .toReversed(),
    )
  }

  #joinLike(parts: readonly Text[]): Text {
    return Text.join(parts).as(this.isMarkup ? 'markup' : 'plain')
  }

  #convertPiece(convert: (value: string) => string): Text {
    const converted = convert(this.value)
    return this.ranges.length === 0 ? Text.ofTemplate(converted) : Text.ofContent(converted)
  }

  /** Splits the string where the origin changes. */
  pieces(): Text[] {
    const pieces: Text[] = []
    let done = 0
    for (const place of [...this.ranges, this.value.length]) {
      if (place > done) pieces.push(this.cut(done, place))
      done = place
    }
    return pieces
  }

  #findStarts(): Uint32Array {
    if (this.#starts) return this.#starts
    const starts: number[] = []
    let place = 0
    for (const character of this.value) {
      starts.push(place)
      place += character.length
    }
    starts.push(place)
    return (this.#starts = Uint32Array.from(starts))
  }
}

const noRanges: readonly number[] = []

/** Returns the index of the first range that ends after `place`. */
function findRange(ranges: readonly number[], place: number): number {
  let [low, high] = [0, ranges.length / 2]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ranges[2 * middle + 1]! <= place) low = middle + 1
    else high = middle
  }
  return 2 * low
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
}

/** Escapes a string for HTML, unless it is markup. @returns markup */
export function escapeMarkup(text: Text): Text {
  return text.isMarkup ? text : text.replaceEach(/[&<>'"]/g, (sign) => escapes[sign]!).as('markup')
}
