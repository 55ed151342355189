// Python's rules for characters. JavaScript counts other characters as white space and line breaks.

/** The characters for which `str.isspace()` is true. */
const blanks = '\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

export const wordPattern = new RegExp(`[^${blanks}]+`, 'g')
const blank = new RegExp(`[${blanks}]`)
/** The line breaks of `str.splitlines()`. */
const lineBreaks = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029'
export const lineBreakPattern = new RegExp(`\\r\\n|[${lineBreaks}]`, 'g')

function isBlank(character: string): boolean {
  return blank.test(character)
}

/** Returns the first and the last place of a string without these characters at its ends. */
export function findStripped(
  text: string,
  characters: string | undefined,
  side: 'both' | 'left' | 'right',
): readonly [from: number, to: number] {
  const stripped = characters === undefined ? undefined : new Set(characters)
  const isStripped = (character: string) => (stripped ? stripped.has(character) : isBlank(character))
  let [from, to] = [0, text.length]
  if (side !== 'right') {
    for (let next = characterAt(text, from); from < to && isStripped(next); next = characterAt(text, from))
      from += next.length
  }
  if (side !== 'left') {
    for (
      let last = characterBefore(text, to);
      to > from && isStripped(last);
      last = characterBefore(text, to)
    )
      to -= last.length
  }
  return [from, to]
}

function characterAt(text: string, place: number): string {
  const code = text.codePointAt(place)
  return code === undefined ? '' : String.fromCodePoint(code)
}

function characterBefore(text: string, place: number): string {
  const pair = text.slice(Math.max(0, place - 2), place)
  return /^[\uD800-\uDBFF][\uDC00-\uDFFF]$/.test(pair) ? pair : text.slice(Math.max(0, place - 1), place)
}

export function toUpper(text: string): string {
  return text.toUpperCase()
}

export function toLower(text: string): string {
  return text.toLowerCase()
}

/** `str.capitalize()`. */
export function capitalize(text: string): string {
  const first = characterAt(text, 0)
  return toTitle(first) + text.slice(first.length).toLowerCase()
}

/** `str.title()`: each run of letters starts with an upper-case letter. */
export function titleWords(text: string): string {
  return text.replace(/[\p{Cased}]+/gu, capitalize)
}

function toTitle(character: string): string {
  const upper = character.toUpperCase()
  // One character can become several: `ß` becomes `Ss`.
  const first = characterAt(upper, 0)
  return first + upper.slice(first.length).toLowerCase()
}

export function swapCase(text: string): string {
  return Array.from(text, (character) =>
    character === character.toUpperCase() ? character.toLowerCase() : character.toUpperCase(),
  ).join('')
}

const isEvery = (pattern: RegExp) => (text: string) => text !== '' && pattern.test(text)

/** The tests of a string, by the names of Python's methods. */
export const stringTests: Readonly<Record<string, (text: string) => boolean>> = {
  isspace: isEvery(new RegExp(`^[${blanks}]*$`)),
  isdigit: isEvery(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]*$/u),
  isdecimal: isEvery(/^\p{Nd}*$/u),
  isnumeric: isEvery(/^\p{N}*$/u),
  isalpha: isEvery(/^\p{L}*$/u),
  isalnum: isEvery(/^[\p{L}\p{N}]*$/u),
  // oxlint-disable-next-line no-control-regex
  isascii: (text) => /^[\0-\x7f]*$/.test(text),
  isidentifier: isEvery(/^[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*$/u),
  isprintable: (text) => !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text),
  isupper: (text) => /\p{Lu}/u.test(text) && !/\p{Ll}|\p{Lt}/u.test(text),
  islower: (text) => /\p{Ll}/u.test(text) && !/\p{Lu}|\p{Lt}/u.test(text),
  istitle: (text) => /\p{Cased}/u.test(text) && titleWords(text) === text,
}

/** The filter `title` of jinja2: it starts a word after a blank, a bracket or a hyphen. */
export function titleFilter(text: string): string {
  return text
    .split(/([-\s({[<]+)/)
    .map((part) => {
      const first = characterAt(part, 0)
      return first.toUpperCase() + part.slice(first.length).toLowerCase()
    })
    .join('')
}
