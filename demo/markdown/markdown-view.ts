import type { Token } from 'marked'
import { findPieces, toBlockNodes } from './block-nodes.js'
import { linkReferences, type Definitions } from './inline-nodes.js'
import type { MarkdownLexer } from './lex-markdown.js'
import { patchFirstNodes, patchNodes } from './patch-nodes.js'
import { createBlockReader, type BlockReader, type BlockSink } from './read-blocks.js'

/** Shows Markdown in an element that nothing else changes. */
export interface MarkdownView {
  /** Shows the text. If the text only grew, the existing nodes are kept. */
  show(text: string, isDone: boolean): void
}

export function createMarkdownView(root: HTMLElement, lexer?: MarkdownLexer): MarkdownView {
  let shown = ''
  let reader: BlockReader | undefined
  let sink: MarkdownSink | undefined

  return {
    show(text, isDone) {
      if (reader === undefined || !text.startsWith(shown)) {
        root.replaceChildren()
        shown = ''
        sink = createSink(root)
        reader = createBlockReader(sink, lexer)
      }
      reader.read(text.slice(shown.length), isDone)
      shown = text
      if (isDone) linkReferences(root, sink!.readDefinitions())
    },
  }
}

interface MarkdownSink extends BlockSink {
  readDefinitions(): Definitions
}

/** Where the next nodes are inserted: after `last`, the last settled child; null for the start. */
interface Place {
  readonly parent: HTMLElement
  last: ChildNode | null
}

function createSink(root: HTMLElement): MarkdownSink {
  const definitions = new Map<string, string>()
  const blocks: Place = { parent: root, last: null }
  /** Inside the last settled block, while that block is still open. */
  let inside: Place | undefined
  let drawn: readonly Token[] = []
  let plain: HTMLElement | undefined

  function place(
    tokens: readonly Token[],
    patchBlocks: typeof patchNodes,
  ): { last: ChildNode | null; lastPiece: ChildNode | null } {
    plain = undefined
    const nodes = toBlockNodes(tokens, definitions)
    const first = inside === undefined ? undefined : nodes.shift()
    const pieces = first === undefined ? [] : [...findPieces(first).childNodes]
    const lastPiece = inside === undefined ? null : patchNodes(inside.parent, inside.last, pieces)
    return { last: patchBlocks(root, blocks.last, nodes), lastPiece }
  }

  return {
    settle(tokens, isOpen) {
      define(tokens, definitions)
      // The unsettled nodes after them stay until the next draw.
      const { last, lastPiece } = place(tokens, patchFirstNodes)
      const isSame = inside !== undefined && last === blocks.last
      blocks.last = last
      if (!isOpen) inside = undefined
      else if (isSame) inside!.last = lastPiece
      else {
        const parent = findPieces(last!)
        inside = { parent, last: parent.lastChild }
      }
    },
    draw(tokens) {
      place(tokens, patchNodes)
      drawn = tokens
    },
    drawPlain(text) {
      if (plain === undefined) root.append((plain = document.createElement('p')))
      patchNodes(plain, null, [document.createTextNode(text)])
    },
    // The drawn tokens may contain a definition that can still grow: it is used, but not stored.
    readDefinitions: () => define(drawn, new Map(definitions)),
  }
}

/** Adds the definitions among the tokens. The first definition of a label wins. */
function define(tokens: readonly Token[], definitions: Map<string, string>): Definitions {
  for (const token of tokens) {
    if (token.type === 'def' && !definitions.has(token.tag)) definitions.set(token.tag, token.href)
  }
  return definitions
}
