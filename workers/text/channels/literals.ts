import { pythonEscapes } from '../escapes.js'

/** Converts the arguments of a call in Python's or Gemma's style to JSON while they arrive. */
export interface LiteralReader {
  /**
   * Adds a character, or the quote token.
   * @returns `last` if it ended the arguments
   */
  read(piece: string): 'inside' | 'last'
  readonly isInText: boolean
  /** The answer ends here: passes on what is held back. */
  cut(): void
}

export interface LiteralOptions {
  readonly style: 'python' | 'quoted'
  /** The token that encloses texts; empty in Python. */
  readonly quote: string
  /** Returns the name of the argument that has no keyword, by its position. */
  nameAt(position: number): string | undefined
}

interface Frame {
  readonly kind: 'arguments' | 'object' | 'list'
  readonly end: string
  count: number
  /** True if the next value is the key of an entry. */
  isKey: boolean
}

/** Python's, and those of JSON and of an octal number that models write. */
const escapes: Readonly<Record<string, string>> = { ...pythonEscapes, '0': '\0', '/': '/' }

/** How many hexadecimal digits follow `\x`, `\u` and `\U`. */
const codeLengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

export function createLiteralReader(options: LiteralOptions, write: (json: string) => void): LiteralReader {
  const isPython = options.style === 'python'
  const separators = isPython ? ['=', ':'] : [':']
  const frames: Frame[] = [{ kind: 'arguments', end: isPython ? ')' : '}', count: 0, isKey: true }]
  /** A word or number, or a key, that is not complete. */
  let word = ''
  /** The quote that ends the open text. */
  let quote = ''
  let escape: string | undefined
  let hasEscapes = false
  /** A text in the place of a key, without quotes; undefined outside. */
  let keyText: string | undefined
  /** True if the brace of the arguments is written. */
  let isOpen = false
  const top = () => frames.at(-1)!

  function startEntry(): void {
    const frame = top()
    if (frame.count > 0) write(', ')
    frame.count += 1
  }

  function writeKey(key: string): void {
    startEntry()
    write(`${JSON.stringify(key)}: `)
    top().isKey = false
  }

  /** Prepares for a value. In the place of a key, it is an argument without a keyword. */
  function startValue(): void {
    const frame = top()
    if (frame.kind === 'list') startEntry()
    else if (frame.isKey) writeKey(options.nameAt(frame.count) ?? `argument${frame.count}`)
  }

  function addText(text: string): void {
    if (keyText === undefined) write(JSON.stringify(text).slice(1, -1))
    else keyText += text
  }

  function startText(mark: string): void {
    quote = mark
    hasEscapes = isPython || mark === '"'
    const frame = top()
    if (frame.isKey && (frame.kind === 'object' || !isPython)) keyText = ''
    else {
      startValue()
      write('"')
    }
  }

  function endText(): void {
    quote = ''
    if (keyText === undefined) write('"')
    else word = keyText
  }

  function readEscape(piece: string): void {
    escape += piece
    const digits = codeLengths[escape![0]!]
    if (digits === undefined) {
      addText(escapes[escape!] ?? `\\${escape!}`)
      escape = undefined
    } else if (escape!.length > digits) {
      const code = Number.parseInt(escape!.slice(1), 16)
      addText(code <= 0x10ffff ? String.fromCodePoint(code) : '\uFFFD')
      escape = undefined
    }
  }

  function readText(piece: string): void {
    if (escape !== undefined) readEscape(piece)
    else if (piece === quote) endText()
    else if (hasEscapes && piece === '\\') escape = ''
    else addText(piece)
  }

  function openFrame(kind: Frame['kind'], end: string): void {
    startValue()
    write(kind === 'list' ? '[' : '{')
    frames.push({ kind, end, count: 0, isKey: kind === 'object' })
  }

  /** Values in Gemma's style can also be JSON, whose texts start a value. */
  function startsText(piece: string): boolean {
    if (isPython) return piece === '"' || piece === "'"
    return piece === options.quote || (piece === '"' && word.trim() === '')
  }

  /** Writes the word before a comma or an end. */
  function endWord(): void {
    const text = word.trim()
    word = ''
    if (keyText === undefined && text === '') return
    if (keyText !== undefined) {
      // A text without a value, in the place of a key.
      keyText = undefined
      startValue()
      write(JSON.stringify(text))
      return
    }
    startValue()
    write(toLiteral(text))
  }

  function endFrame(): 'inside' | 'last' {
    endWord()
    const frame = frames.pop()!
    if (frame.kind === 'arguments' && !isOpen) write('{')
    write(frame.kind === 'list' ? ']' : '}')
    return frames.length === 0 ? 'last' : 'inside'
  }

  function readSyntax(piece: string): 'inside' | 'last' {
    const frame = top()
    if (piece === frame.end) return endFrame()
    if (piece === ',') {
      endWord()
      if (frame.kind !== 'list') frame.isKey = true
    } else if (frame.isKey && separators.includes(piece)) {
      writeKey(keyText ?? word.trim())
      keyText = undefined
      word = ''
    } else if (startsText(piece)) {
      // Python joins texts that follow each other; a prefix such as `r` is rare, and dropped.
      word = ''
      startText(piece)
    } else if (word.trim() === '' && (piece === '[' || (isPython && piece === '(')))
      openFrame('list', piece === '[' ? ']' : ')')
    else if (word.trim() === '' && piece === '{') openFrame('object', '}')
    else word += piece
    return 'inside'
  }

  return {
    get isInText() {
      return quote !== ''
    },
    read(piece) {
      if (quote !== '') {
        readText(piece)
        return 'inside'
      }
      if (!isOpen && piece.trim() !== '' && piece !== top().end) {
        isOpen = true
        write('{')
      }
      return readSyntax(piece)
    },
    cut() {
      if (word.trim() !== '' && frames.length > 0 && !top().isKey) write(toLiteral(word.trim()))
    },
  }
}

/** Converts a word or a number to JSON. Anything else becomes a text. */
function toLiteral(text: string): string {
  const known = { True: 'true', False: 'false', None: 'null' }[text] ?? text
  if (/^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(known)) return known
  const number = Number(text.replaceAll('_', ''))
  return text !== '' && Number.isFinite(number) ? String(number) : JSON.stringify(text)
}
