import type { Token } from 'marked'
import { findPieces, toBlockNodes } from './block-nodes.js'
import { linkReferences, type Definitions } from './inline-nodes.js'
import type { MarkdownLexer } from './lex-markdown.js'
import { patchFirstNodes, patchNodes } from './patch-nodes.js'
import { createBlockReader, type BlockReader, type BlockSink } from './read-blocks.js'

/** Shows Markdown in an element that is its own. */
export interface MarkdownView {
  /** Shows the text; where it only grew, what is shown already stays the same nodes. */
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

/** Where the next pieces go: behind `last`, the last child that is final. */
interface Place {
  readonly parent: HTMLElement
  last: ChildNode | null
}

function createSink(root: HTMLElement): MarkdownSink {
  const definitions = new Map<string, string>()
  const behind: Place = { parent: root, last: null }
  /** Inside of the last settled block, while it goes on. */
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
    return { last: patchBlocks(root, behind.last, nodes), lastPiece }
  }

  return {
    settle(tokens, isOpen) {
      define(tokens, definitions)
      // What is drawn behind them has not settled, and is drawn again next.
      const { last, lastPiece } = place(tokens, patchFirstNodes)
      const isSame = inside !== undefined && last === behind.last
      behind.last = last
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
    // The last line may be a definition too, and it may grow: it counts, but is not kept.
    readDefinitions: () => define(drawn, new Map(definitions)),
  }
}

/** The first definition of a label counts. */
function define(tokens: readonly Token[], definitions: Map<string, string>): Definitions {
  for (const token of tokens) {
    if (token.type === 'def' && !definitions.has(token.tag)) definitions.set(token.tag, token.href)
  }
  return definitions
}
