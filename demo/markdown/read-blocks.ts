import type { Token, Tokens } from 'marked'
import { readFence, type CodeFence } from './code-fence.js'
import { markdownLexer, type MarkdownLexer } from './lex-markdown.js'

/** Receives the blocks of a growing text. */
export interface BlockSink {
  /**
   * Receives final blocks. `draw` follows before `read` returns. With `isOpen` the last block is incomplete: the next
   * tokens, if any, start with more of it.
   */
  settle(tokens: readonly Token[], isOpen: boolean): void
  /** Receives the provisional blocks after the settled ones. Replaces the previous call's blocks. */
  draw(tokens: readonly Token[]): void
  /** Receives the text that arrived since the last `draw` and is not lexed yet. */
  drawPlain(text: string): void
}

/** Reads growing Markdown. */
export interface BlockReader {
  /** Adds `more` to the text and draws. */
  read(more: string, isDone: boolean): void
}

/** A partly settled block. With `prefix` before it, the rest of the block is lexed as part of that block. */
type OpenBlock =
  | { readonly kind: 'list' | 'paragraph' | 'table'; readonly prefix: string }
  | { readonly kind: 'code'; readonly fence: CodeFence }

/** A line without a line feed is checked every this many characters. */
const checkLength = 1024
/** Longer paragraphs and code blocks settle in pieces of about this length. */
const pieceLength = 2048
/** This much of a paragraph's end stays unsettled, so that emphasis and links in it can still close. */
const openLength = 1024
/** Longer blocks that only settle as a whole are lexed again each time they have grown by a quarter. */
const longLength = 4096

/** Any letter works: no block starts after a letter in the same line. */
const paragraphPrefix = '\u3402'

/**
 * Creates a reader whose work grows linearly with the text: a block is lexed again only until the next block starts, and
 * only the last piece of a long block is lexed again. Blocks settle at line ends, so the result does not depend on how the
 * text was split on arrival.
 */
export function createBlockReader(sink: BlockSink, lexer: MarkdownLexer = markdownLexer): BlockReader {
  let open: OpenBlock | undefined
  /** The text after the settled blocks. */
  let tail = ''
  /** Length of the tail that was checked for blocks to settle. */
  let checked = 0
  /** Length of the tail that the last `draw` lexed. */
  let drawn = 0
  /** A carriage return that the next piece may complete to `\r\n`. */
  let pendingReturn = ''

  function read(more: string, isDone: boolean): void {
    const text = pendingReturn + more
    pendingReturn = text.endsWith('\r') && !isDone ? '\r' : ''
    tail += text.slice(0, text.length - pendingReturn.length).replaceAll(/\r\n?/g, '\n')
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
    // If marked dropped text before the last block, the block's position is unknown.
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

  /** Settles all items except the last one. */
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

  /** The last line feed belongs to the fence, not to the code. */
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

  /** Returns a position between two tokens or words, far enough back that no mark before it is still open. */
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
    // At the start of a line, the rest could be lexed as a different block.
    return paragraph[end - 1] === '\n' ? end - 1 : end
  }

  /** Lexes the inline text of a paragraph, or of the rest of an open one. */
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
