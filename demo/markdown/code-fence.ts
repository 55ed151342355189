import type { Tokens } from 'marked'

/** A fenced code block that may not be closed yet. */
export interface CodeFence {
  /** Length of the opening line. */
  readonly openingLength: number
  toToken(code: string): Tokens.Code
  isClosing(line: string): boolean
  /** Whether the incomplete line may become the closing line. */
  mayClose(line: string): boolean
}

/** Returns the fence at the start of the text, if its first line is complete. */
export function readFence(text: string): CodeFence | undefined {
  const match = /^( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,})([^\n]*)\n/.exec(text)
  if (match === null) return undefined
  const [opening, indent = '', mark = '', info = ''] = match
  const closing = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*\\n?$`)
  const growing = new RegExp(`^ {0,3}${mark[0]}*[ \\t]*$`)
  const indentation = new RegExp(`^ {0,${indent.length}}`, 'gm')
  return {
    openingLength: opening.length,
    toToken: (code) => ({
      type: 'code',
      raw: code,
      lang: info.trim(),
      text: indent === '' ? code : code.replace(indentation, ''),
    }),
    isClosing: (line) => closing.test(line),
    mayClose: (line) => growing.test(line),
  }
}
