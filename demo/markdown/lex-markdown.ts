import { Lexer, Tokenizer, type Token, type Tokens } from 'marked'

/** Turns Markdown into marked's tokens; its HTML is never made. */
export interface MarkdownLexer {
  /** The blocks with the text in them. */
  lex(source: string): Token[]
  /** The blocks alone, for where they begin and end. */
  lexBlocks(source: string): Token[]
  /** The inside of a paragraph. */
  lexInline(source: string): Token[]
}

/** `[text][label]`, `[label][]` and `[label]`: a link as soon as the label is defined, which may be far below. */
export interface ReferenceToken extends Tokens.Generic {
  readonly type: 'reference'
  readonly label: string
  /** `[` or `![`, what the link would show, and the rest. */
  readonly opening: string
  readonly tokens: Token[]
  readonly closing: string
}

/** What is nested deeper is text: marked calls itself for each level, and reads its source again. */
const maxDepth = 24

/** A longer run of text is lexed in pieces: what opens in one and closes in another is text. */
const maxInlineLength = 4096

export const markdownLexer = {
  lex: (source) => guard(source, () => createLexer().lex(source)),
  lexBlocks(source) {
    const lexer = createLexer()
    return guard(source, () => lexer.blockTokens(source, lexer.tokens))
  },
  lexInline: (source) => guard(source, () => createLexer().inlineTokens(source)),
} satisfies MarkdownLexer

/** marked throws where its rules find no way on; the text is shown then, as it is. */
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

/** marked's rules, but that HTML is text, that nesting has a limit, and that references wait for their definitions. */
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

  // A block of HTML would swallow the lines up to its end, which may never come.
  override html(): undefined {}

  /** The tag as it is written. It changes nothing for what follows: marked would make no links inside of `<a>`. */
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

  /** A footnote's text is a paragraph, not an address. */
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
    // The lexer passes on what it gets; its types know only its own tokens.
    return token as unknown as Tokens.Text
  }
}

/** As marked's for definitions. */
const normalizeLabel = (label: string) =>
  label.trim().replaceAll(/\s+/g, ' ').toLowerCase().toUpperCase().toLowerCase()
