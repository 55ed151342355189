import { Lexer, Tokenizer, type Token, type Tokens } from 'marked'

/** Turns Markdown into marked's tokens. HTML is never generated. */
export interface MarkdownLexer {
  /** Returns blocks with their inline tokens. */
  lex(source: string): Token[]
  /** Returns blocks without inline tokens, to find where blocks start and end. */
  lexBlocks(source: string): Token[]
  /** Returns the inline tokens of a paragraph's text. */
  lexInline(source: string): Token[]
}

/** `[text][label]`, `[label][]` or `[label]`. Becomes a link when the label is defined, possibly much later in the text. */
export interface ReferenceToken extends Tokens.Generic {
  readonly type: 'reference'
  readonly label: string
  /** `[` or `![`. */
  readonly opening: string
  /** The link's text. */
  readonly tokens: Token[]
  readonly closing: string
}

/** Deeper nesting is shown as text: marked recurses for each level and reads the source again. */
const maxDepth = 24

/** Longer inline text is lexed in pieces. A mark that opens in one piece and closes in another is shown as text. */
const maxInlineLength = 4096

export const markdownLexer = {
  lex: (source) => guard(source, () => createLexer().lex(source)),
  lexBlocks(source) {
    const lexer = createLexer()
    return guard(source, () => lexer.blockTokens(source, lexer.tokens))
  },
  lexInline: (source) => guard(source, () => createLexer().inlineTokens(source)),
} satisfies MarkdownLexer

/** marked throws if none of its rules match. The text is then shown unchanged. */
function guard(source: string, lex: () => Token[]): Token[] {
  try {
    return lex()
  } catch {
    return [{ type: 'text', raw: source, text: source }]
  }
}

const createLexer = () => new PiecewiseLexer({ gfm: true, breaks: true, tokenizer: new TextTokenizer() })

class PiecewiseLexer extends Lexer {
  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    let rest = source
    while (rest.length > maxInlineLength) {
      const end = findPieceEnd(rest)
      super.inlineTokens(rest.slice(0, end), tokens)
      rest = rest.slice(end)
    }
    return super.inlineTokens(rest, tokens)
  }
}

function findPieceEnd(text: string): number {
  const space = text.lastIndexOf(' ', maxInlineLength)
  if (space > 0) return space
  return text.codePointAt(maxInlineLength - 1)! > 0xff_ff ? maxInlineLength - 1 : maxInlineLength
}

/** marked's rules with three changes: HTML is text, nesting is limited, and references wait for their definitions. */
class TextTokenizer extends Tokenizer {
  #depth = 0

  #nest<T>(read: () => T): T | undefined {
    if (this.#depth >= maxDepth) return undefined
    this.#depth += 1
    try {
      return read()
    } finally {
      this.#depth -= 1
    }
  }

  // An HTML block would consume all lines up to its end, which may be missing.
  override html(): undefined {}

  /** Shows the tag as text and restores the lexer state: marked would not create links after an `<a>`. */
  override tag(source: string): Tokens.Tag | undefined {
    const { inLink, inRawBlock } = this.lexer.state
    const token = super.tag(source)
    Object.assign(this.lexer.state, { inLink, inRawBlock })
    return token
  }

  override blockquote(source: string): Tokens.Blockquote | undefined {
    return this.#nest(() => super.blockquote(source))
  }

  override list(source: string): Tokens.List | undefined {
    return this.#nest(() => super.list(source))
  }

  override emStrong(source: string, masked: string, before?: string): Tokens.Em | Tokens.Strong | undefined {
    return this.#nest(() => super.emStrong(source, masked, before))
  }

  override del(source: string, masked: string, before?: string): Tokens.Del | undefined {
    return this.#nest(() => super.del(source, masked, before))
  }

  override link(source: string): Tokens.Link | Tokens.Image | undefined {
    return this.#nest(() => super.link(source))
  }

  /** A footnote is a paragraph, not a link definition. */
  override def(source: string): Tokens.Def | undefined {
    return /^ {0,3}\[\^/.test(source) ? undefined : super.def(source)
  }

  override reflink(source: string): Tokens.Text | undefined {
    const { reflink, nolink } = this.rules.inline
    const opening = /^!?\[/.exec(source)?.[0]
    const match = opening === undefined ? null : (reflink.exec(source) ?? nolink.exec(source))
    if (opening === undefined || match === null) return undefined
    const [raw, text = '', label] = match
    if (text.startsWith('^')) return { type: 'text', raw, text: raw }
    const tokens = this.#nest(() => this.lexer.inlineTokens(text))
    if (tokens === undefined) return undefined
    const closing = raw.slice(opening.length + text.length)
    const token: ReferenceToken = {
      type: 'reference',
      raw,
      label: normalizeLabel(label || text),
      opening,
      tokens,
      closing,
    }
    // The lexer passes custom tokens through, but its types only include marked's tokens.
    return token as unknown as Tokens.Text
  }
}

/** Normalizes like marked does for definitions. */
const normalizeLabel = (label: string) =>
  label.trim().replaceAll(/\s+/g, ' ').toLowerCase().toUpperCase().toLowerCase()
