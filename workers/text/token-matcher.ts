/** A place in a text where a token's text stands, in UTF-16 code units. */
interface TokenMatch<Token> {
  readonly token: Token
  readonly start: number
  readonly end: number
}

/** Finds the first match at or after `from`. If several tokens match at the same place, the longest one wins. */
export type FindToken<Token> = (text: string, from: number) => TokenMatch<Token> | undefined

/** A node of a trie over UTF-16 code units. */
interface Node<Token> {
  readonly children: Map<number, Node<Token>>
  token: Token | undefined
}

/** Creates a function that finds tokens in a text. Its time depends on the text, not on the number of tokens. */
export function createTokenMatcher<Token extends { readonly content: string }>(
  tokens: readonly Token[],
): FindToken<Token> {
  const root: Node<Token> = { children: new Map(), token: undefined }
  for (const token of tokens) {
    let node = root
    for (let index = 0; index < token.content.length; index += 1) {
      const unit = token.content.charCodeAt(index)
      let child = node.children.get(unit)
      if (!child) node.children.set(unit, (child = { children: new Map(), token: undefined }))
      node = child
    }
    // An empty token would match everywhere.
    if (node !== root) node.token = token
  }

  function matchAt(text: string, start: number): TokenMatch<Token> | undefined {
    let longest: TokenMatch<Token> | undefined
    let node: Node<Token> | undefined = root
    for (let index = start; node; index += 1) {
      if (node.token) longest = { token: node.token, start, end: index }
      node = index < text.length ? node.children.get(text.charCodeAt(index)) : undefined
    }
    return longest
  }

  if (root.children.size === 0) return () => undefined
  return (text, from) => {
    for (let start = from; start < text.length; start += 1) {
      if (!root.children.has(text.charCodeAt(start))) continue
      const match = matchAt(text, start)
      if (match) return match
    }
    return undefined
  }
}
