import type { Token, Tokens } from 'marked'
import { readFence, type CodeFence } from './code-fence.js'
import { markdownLexer, type MarkdownLexer } from './lex-markdown.js'

/** Where the blocks of a growing text go. */
export interface BlockSink {
  /**
   * These are final; `draw` follows before the read is over. With `isOpen` the last one goes on: the tokens that come
   * next, if any, begin with more of it.
   */
  settle(tokens: readonly Token[], isOpen: boolean): void
  /** What stands behind the settled blocks for now. */
  draw(tokens: readonly Token[]): void
  /** What has come since the last drawing and is not lexed yet. */
  drawPlain(text: string): void
}

/** Reads Markdown that grows. */
export interface BlockReader {
  /** Takes what has come since, and draws. */
  read(more: string, isDone: boolean): void
}

/** A block that has settled in part, and what makes the rest of it be lexed as its rest. */
type OpenBlock =
  | { readonly kind: 'list' | 'paragraph' | 'table'; readonly prefix: string }
  | { readonly kind: 'code'; readonly fence: CodeFence }

/** How often a line without an end is looked at. */
const checkLength = 1024
/** Longer paragraphs and code blocks settle in pieces of about this length. */
const pieceLength = 2048
/** The end of a paragraph that stays open, for the emphasis and the links in it to be closed. */
const openLength = 1024
/** Blocks that settle only as a whole are lexed again, when they are longer than this, each time they grew by a quarter. */
const longLength = 4096

/** Any letter: behind one, nothing begins a block. */
const paragraphPrefix = '\u3402'

/**
 * Lexes a block anew only until the next one begins, and of a long one only the last piece: the work grows with
 * the text and no faster. What settles depends on the text alone and never on how it arrived, since it is
 * decided at the ends of lines.
 */
export function createBlockReader(sink: BlockSink, lexer: MarkdownLexer = markdownLexer): BlockReader {
  let open: OpenBlock | undefined
  /** The text behind what has settled. */
  let tail = ''
  /** How far the tail has been looked at for what settles. */
  let checked = 0
  /** How much of the tail the last drawing has lexed. */
  let drawn = 0
  /** A carriage return that may belong to a line feed to come. */
  let held = ''

  function read(more: string, isDone: boolean): void {
    const text = held + more
    held = text.endsWith('\r') && !isDone ? '\r' : ''
    tail += text.slice(0, text.length - held.length).replaceAll(/\r\n?/g, '\n')
    for (let end = findNextCheck(); end <= tail.length; end = findNextCheck()) check(end)
    draw(isDone)
  }

  function findNextCheck(): number {
    const isLong = checked > longLength && open?.kind !== 'code'
    const start = checked + (isLong ? Math.floor(checked / 4) : 0)
    const lineEnd = tail.slice(start, start + checkLength).indexOf('\n')
    return start + (lineEnd === -1 ? checkLength : lineEnd + 1)
  }

  function check(end: number): void {
    checked = end
    const isLineEnd = tail[end - 1] === '\n'
    if (open?.kind === 'code') {
      if (isLineEnd) settleCode(open.fence)
      return
    }
    const prefix = open?.prefix ?? ''
    const source = prefix + tail.slice(0, end)
    const tokens = lexer.lexBlocks(source)
    const index = tokens.findLastIndex(({ type }) => type !== 'space')
    const last = tokens[index]
    if (last === undefined) return void take(end)
    const before = tokens.slice(0, index).reduce((text, { raw }) => text + raw, '')
    // A block's place is not known where marked has left something out before it.
    if (!source.startsWith(before + last.raw) || (index > 0 && !isLineEnd)) return
    if (index > 0) {
      sink.settle(lex(take(before.length - prefix.length)), false)
      open = undefined
    }
    const isEnd = index === tokens.length - 1
    if (last.type === 'code' && isLineEnd) openCode()
    else if (last.type === 'list' && isLineEnd) settleItems(last as Tokens.List)
    else if (last.type === 'table' && isLineEnd && isEnd) settleRows(last as Tokens.Table)
    else if (last.type === 'paragraph' && isEnd && checked > pieceLength) settleParagraph()
  }

  function take(length: number): string {
    const taken = tail.slice(0, length)
    tail = tail.slice(length)
    checked -= length
    drawn = 0
    return taken
  }

  /** All items but the last one. */
  function settleItems({ items }: Tokens.List): void {
    if (items.length < 2) return
    const length = items.slice(0, -1).reduce((sum, { raw }) => sum + raw.length, 0)
    sink.settle(lex(take(length)), true)
    open = { kind: 'list', prefix: '' }
  }

  function settleRows({ raw, rows }: Tokens.Table): void {
    if (rows.length === 0) return
    const [header, delimiters] = raw.split('\n', 2)
    sink.settle(lex(take(checked)), true)
    open = { kind: 'table', prefix: `${header}\n${delimiters}\n` }
  }

  function openCode(): void {
    const fence = open === undefined ? readFence(tail) : undefined
    if (fence === undefined) return
    take(fence.openingLength)
    checked = 0
    sink.settle([fence.toToken('')], true)
    open = { kind: 'code', fence }
  }

  function settleCode(fence: CodeFence): void {
    const lineStart = tail.lastIndexOf('\n', checked - 2) + 1
    if (fence.isClosing(tail.slice(lineStart, checked))) {
      const code = tail.slice(0, lineStart)
      sink.settle(toCodeTokens(fence, code), false)
      take(checked)
      open = undefined
    } else if (checked > pieceLength) {
      sink.settle([fence.toToken(take(checked))], true)
    }
  }

  /** The last line feed is the fence's. */
  function toCodeTokens(fence: CodeFence, code: string): readonly Token[] {
    return code === '' ? [] : [fence.toToken(code.replace(/\n$/, ''))]
  }

  function settleParagraph(): void {
    const length = findPieceEnd(tail.slice(0, checked))
    if (length === 0) return
    const tokens = lexInside(take(length))
    sink.settle([{ type: 'paragraph', raw: '', tokens }], true)
    open = { kind: 'paragraph', prefix: paragraphPrefix }
  }

  /** Between two tokens or words, and so far back that nothing before it is waiting for its end. */
  function findPieceEnd(paragraph: string): number {
    const limit = paragraph.length - openLength
    let end = 0
    for (const { type, raw } of lexInside(paragraph)) {
      if (end + raw.length > limit) {
        if (type === 'text') end += findWordEnd(paragraph.slice(end, limit))
        break
      }
      end += raw.length
    }
    // At the start of a line, the rest could be another block.
    return paragraph[end - 1] === '\n' ? end - 1 : end
  }

  /** The inside of a paragraph, or of its rest. */
  function lexInside(text: string): Token[] {
    if (open === undefined) return lexer.lexInline(text)
    return dropPrefix(lexer.lexInline(paragraphPrefix + text))
  }

  function lex(source: string): readonly Token[] {
    if (source === '' || open === undefined || open.kind === 'code')
      return source === '' ? [] : lexer.lex(source)
    const tokens = lexer.lex(open.prefix + source)
    if (open.kind !== 'paragraph') return tokens
    const [first, ...others] = tokens
    const inside = first?.type === 'paragraph' ? (first.tokens ?? []) : lexer.lexInline(first?.raw ?? '')
    return [{ type: 'paragraph', raw: '', tokens: dropPrefix(inside) }, ...others]
  }

  function draw(isDone: boolean): void {
    if (open?.kind === 'code') return drawCode(open.fence, isDone)
    const isWaiting = tail.length > longLength && tail.length < drawn * 1.25
    if (isWaiting && !isDone) return sink.drawPlain(tail.slice(drawn))
    drawn = tail.length
    sink.draw(lex(tail))
  }

  function drawCode(fence: CodeFence, isDone: boolean): void {
    const lineStart = tail.lastIndexOf('\n') + 1
    const line = tail.slice(lineStart)
    const isHidden = isDone ? fence.isClosing(line) : fence.mayClose(line)
    sink.draw(toCodeTokens(fence, isHidden ? tail.slice(0, lineStart) : tail))
  }

  return { read }
}

function findWordEnd(text: string): number {
  const space = text.search(/\s+\S*$/)
  if (space > 0) return space
  const isInPair = (text.codePointAt(text.length - 1) ?? 0) >> 10 === 0xd8_00 >> 10
  return isInPair ? text.length - 1 : text.length
}

function dropPrefix([first, ...others]: readonly Token[]): Token[] {
  if (first === undefined) return []
  const raw = first.raw.slice(paragraphPrefix.length)
  return raw === '' ? others : [{ ...first, raw, text: raw }, ...others]
}
