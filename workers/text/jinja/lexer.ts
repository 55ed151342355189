import { pythonEscapes } from '../escapes.js'
import { TemplateError } from './meter.js'

/** A token of a template. `data` is text outside of tags. */
export interface Token {
  readonly type:
    | 'data'
    | 'open'
    | 'close'
    | 'print'
    | 'endprint'
    | 'name'
    | 'string'
    | 'integer'
    | 'float'
    | 'operator'
    | 'end'
  readonly value: string
  readonly line: number
}

const identifier = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy
const floatLiteral = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy
const integerLiteral = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy
const stringLiteral = /'[^'\\]*(?:\\[^][^'\\]*)*'|"[^"\\]*(?:\\[^][^"\\]*)*"/y
const operator = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y
const space = /\s+/y
const rawStart = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y
const rawEnd = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g
const commentEnd = /\+#\}|-#\}\s*|#\}\n?/g
const tagEnd = /\+%\}|-%\}\s*|%\}\n?/y
const printEnd = /-\}\}\s*|\}\}/y
const tagStart = /\{[%{#]/g

const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/**
 * Splits a template into tokens, with the settings of transformers: `trim_blocks` and `lstrip_blocks`. The rules are those
 * of jinja2's `lexer.py`.
 * @throws TemplateError
 */
export function tokenize(template: string): readonly Token[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '')
  const tokens: Token[] = []
  let place = 0
  let line = 1
  let countedTo = 0
  /** True if `place` is at the start of a line of the source: the last consumed character is a line break. */
  let startsLine = true

  function fail(message: string): never {
    throw new TemplateError(`${message} (line ${findLine()})`)
  }

  function findLine(): number {
    for (; countedTo < place; countedTo += 1) if (source[countedTo] === '\n') line += 1
    return line
  }

  function push(type: Token['type'], value: string): void {
    tokens.push({ type, value, line: findLine() })
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = place
    return pattern.exec(source)?.[0]
  }

  function consume(text: string): void {
    place += text.length
    startsLine = text.endsWith('\n')
  }

  /** Adds the text before a tag. `sign` is the character after the tag's start. */
  function pushData(text: string, sign: string | undefined, isPrint: boolean): void {
    let data = text
    if (sign === '-') data = text.trimEnd()
    else if (sign !== '+' && !isPrint) {
      const lastLine = text.lastIndexOf('\n') + 1
      if ((lastLine > 0 || startsLine) && text.slice(lastLine).trim() === '') data = text.slice(0, lastLine)
    }
    if (data !== '') push('data', data)
  }

  function readTag(isPrint: boolean): void {
    const [end, type] = isPrint ? ([printEnd, 'endprint'] as const) : ([tagEnd, 'close'] as const)
    const open: string[] = []
    for (;;) {
      const found = open.length === 0 ? match(end) : undefined
      if (found !== undefined) {
        push(type, '')
        return consume(found)
      }
      const blank = match(space)
      if (blank !== undefined) {
        consume(blank)
        continue
      }
      if (place >= source.length) fail('The template ends inside a tag.')
      readToken(open)
    }
  }

  function readToken(open: string[]): void {
    for (const [type, pattern] of literals) {
      // A number after a dot is an index: `a.0.1`.
      if (type === 'float' && source[place - 1] === '.') continue
      const found = match(pattern)
      if (found === undefined) continue
      push(type, type === 'string' ? unescape(found.slice(1, -1), fail) : found)
      return consume(found)
    }
    const found = match(operator) ?? fail(`unexpected char ${JSON.stringify(source[place])}`)
    if (found in closing) open.push(closing[found]!)
    else if (')]}'.includes(found) && open.pop() !== found) fail(`unexpected '${found}'`)
    push('operator', found)
    consume(found)
  }

  while (place < source.length) {
    tagStart.lastIndex = place
    const found = tagStart.exec(source)
    if (!found) {
      push('data', source.slice(place))
      break
    }
    const text = source.slice(place, found.index)
    const kind = found[0]
    const sign = /[-+]/.exec(source[found.index + 2] ?? '')?.[0]
    pushData(text, sign, kind === '{{')
    place = found.index
    const raw = match(rawStart)
    if (raw !== undefined) {
      consume(raw)
      rawEnd.lastIndex = place
      const end = rawEnd.exec(source) ?? fail('Missing end of raw directive')
      pushData(source.slice(place, end.index), end[1], false)
      place = end.index
      consume(end[0])
    } else if (kind === '{#') {
      commentEnd.lastIndex = place + 2 + (sign ?? '').length
      const end = commentEnd.exec(source) ?? fail('Missing end of comment tag')
      place = end.index
      consume(end[0])
    } else {
      consume(kind + (sign ?? ''))
      push(kind === '{{' ? 'print' : 'open', '')
      readTag(kind === '{{')
    }
  }
  place = source.length
  push('end', '')
  return tokens
}

const literals = [
  ['float', floatLiteral],
  ['integer', integerLiteral],
  ['name', identifier],
  ['string', stringLiteral],
] as const

/** Replaces the escapes of a string literal, as Python's codec `unicode-escape` does. Keeps an unknown escape. */
function unescape(literal: string, fail: (message: string) => never): string {
  const pattern = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([^]))/g
  return literal.replace(
    pattern,
    (whole, byte?: string, unit?: string, point?: string, octal?: string, other = '') => {
      const hex = byte ?? unit ?? point
      if (hex !== undefined) {
        const code = parseInt(hex, 16)
        return code > 0x10ffff ? fail(`invalid escape ${whole}`) : String.fromCodePoint(code)
      }
      if (octal !== undefined) return String.fromCodePoint(parseInt(octal, 8))
      if (/[xuUN]/.test(other)) fail(`invalid escape ${whole}`)
      return pythonEscapes[other] ?? whole
    },
  )
}
