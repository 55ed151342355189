import type { Token } from 'marked'
import { describe, expect, it } from 'vitest'
import { markdownLexer, type MarkdownLexer } from './lex-markdown.js'
import { oddTexts } from './odd-texts.test-support.js'
import { createBlockReader } from './read-blocks.js'

/** Reads a text in pieces. Returns the settled blocks, and the blocks drawn after them at the end. */
function readAll(pieces: readonly string[], lexer?: MarkdownLexer) {
  const settled: { tokens: readonly Token[]; isOpen: boolean }[] = []
  let drawn: readonly Token[] = []
  const sink = {
    settle: (tokens: readonly Token[], isOpen: boolean) => void settled.push({ tokens, isOpen }),
    draw: (tokens: readonly Token[]) => (drawn = tokens),
    drawPlain: () => {},
  }
  const reader = createBlockReader(sink, lexer)
  for (const piece of pieces) reader.read(piece, false)
  reader.read('', true)
  return { settled, drawn }
}

function cut(text: string, length: number): string[] {
  return Array.from({ length: Math.ceil(text.length / length) }, (_, i) =>
    text.slice(i * length, (i + 1) * length),
  )
}

describe.each(Object.entries(oddTexts))('%s', (_, text) => {
  it.each([7, 64, 1000])('settles the same in pieces of %i characters as in one piece', (length) => {
    expect(readAll(cut(text, length))).toEqual(readAll([text]))
  })
})

/** Counts the lexed characters for a text that arrives in pieces of 20 characters. */
function countLexed(text: string): number {
  let lexed = 0
  const counting =
    <Result>(lex: (source: string) => Result) =>
    (source: string) => {
      lexed += source.length
      return lex(source)
    }
  const { lex, lexBlocks, lexInline } = markdownLexer
  readAll(cut(text, 20), {
    lex: counting(lex),
    lexBlocks: counting(lexBlocks),
    lexInline: counting(lexInline),
  })
  return lexed
}

const longTexts = {
  paragraphs: (length) => fill(length, (i) => `Paragraph ${i} has *some* words,\nand a second line.\n\n`),
  'one paragraph': (length) => fill(length, (i) => `Sentence ${i} has **some** words in it. `),
  'one paragraph without spaces': (length) => fill(length, (i) => `第${i}句话没有空格，`),
  'one paragraph of opened marks': (length) => fill(length, (i) => `[a${i}](b *c \`d `),
  'one code block': (length) => `\`\`\`js\n${fill(length, (i) => `const line${i} = [${i}]\n`)}`,
  'one line of code': (length) => `\`\`\`js\n${fill(length, (i) => `f(${i});`)}`,
  'one list': (length) => fill(length, (i) => `- item ${i} with *words*\n`),
  'one list item': (length) => `- ${fill(length, (i) => `line ${i} of it\n  `)}`,
  'one nested list': (length) => `- a\n${fill(length, (i) => `  - item ${i}\n`)}`,
  'one table': (length) => `| a | b |\n|---|---|\n${fill(length, (i) => `| row ${i} | *cell* |\n`)}`,
  'one quote': (length) => fill(length, (i) => `> line ${i} of it\n`),
  'one heading': (length) => `# ${fill(length, (i) => `word ${i} `)}`,
  'unclosed html': (length) => `<script>\n${fill(length, (i) => `let a${i}\n\n`)}`,
  'blank lines': (length) => '\n'.repeat(length),
} satisfies Record<string, (length: number) => string>

function fill(length: number, write: (index: number) => string): string {
  let text = ''
  for (let index = 0; text.length < length; index += 1) text += write(index)
  return text.slice(0, length)
}

describe.each(Object.entries(longTexts))('%s in 5,000 pieces', (_, write) => {
  it('takes at most about twice the work of 2,500 pieces', () => {
    const ratio = countLexed(write(100_000)) / countLexed(write(50_000))
    expect(ratio).toBeLessThan(2.3)
  })
})
