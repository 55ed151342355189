import type { MarkedToken, Token, Tokens } from 'marked'
import { decodeCharacterReferences } from './character-references.js'
import { createElement } from './create-element.js'
import type { ReferenceToken } from './lex-markdown.js'
import { revealControls } from './reveal-controls.js'
import { toSafeUrl } from './safe-url.js'

/** Addresses of link definitions (`[label]: address`), by label. */
export type Definitions = ReadonlyMap<string, string>

interface Context {
  readonly definitions: Definitions
  readonly isInLink: boolean
}

/** Returns the nodes of inline text. Unsafe links stay as they are written. */
export function toInlineNodes(tokens: readonly Token[], definitions: Definitions): Node[] {
  return toNodes(tokens, { definitions, isInLink: false })
}

/** Turns references inside `root` into links if their label was defined after they were shown. */
export function linkReferences(root: Element, definitions: Definitions): void {
  if (definitions.size === 0) return
  for (const reference of root.querySelectorAll<HTMLElement>(`span[${labelAttribute}]`)) {
    const url = toSafeUrl(definitions.get(reference.getAttribute(labelAttribute)!) ?? '')
    if (url === undefined || reference.closest('a') || reference.querySelector('a')) continue
    const shown = [...reference.childNodes].slice(1, -1)
    reference.replaceWith(createLink(url, shown))
  }
}

const labelAttribute = 'data-label'

function toNodes(tokens: readonly Token[], context: Context): Node[] {
  return tokens
    .filter(({ type }) => type !== 'checkbox')
    .map((token) => toNode(token as MarkedToken | ReferenceToken, context))
}

function toNode(token: MarkedToken | ReferenceToken, context: Context): Node {
  switch (token.type) {
    case 'strong':
    case 'em':
    case 'del':
      return createElement(token.type, {}, ...toNodes(token.tokens ?? [], context))
    case 'codespan':
      return createElement('code', { dir: 'ltr' }, revealControls(token.text))
    case 'br':
      return createElement('br')
    case 'escape':
      return toText(token.text, context)
    case 'text':
      return toText(decodeCharacterReferences(token.raw), context)
    case 'link':
      return toLink(token as Tokens.Link, context)
    case 'image':
      return toImageLink(token as Tokens.Image, context)
    case 'reference':
      return toReference(token as ReferenceToken, context)
    default:
      return toText(token.raw, context)
  }
}

function toText(text: string, { isInLink }: Context): Text {
  return document.createTextNode(isInLink ? revealControls(text) : text)
}

function toLink({ href, autolink, tokens, raw, title }: Tokens.Link, context: Context): Node {
  // Character references are not decoded in an autolink.
  const url = toSafeUrl(autolink ? href : decodeCharacterReferences(href))
  if (url === undefined || context.isInLink) return document.createTextNode(revealControls(raw))
  const link = createLink(url, toNodes(tokens, { ...context, isInLink: true }))
  if (title) link.title = revealControls(decodeCharacterReferences(title))
  return link
}

/** Shows an image as a link. Images are never fetched: the request itself would reveal the reader to another server. */
function toImageLink({ href, raw, text }: Tokens.Image, context: Context): Node {
  const url = toSafeUrl(decodeCharacterReferences(href))
  if (url === undefined) return document.createTextNode(revealControls(raw))
  const name = revealControls(decodeCharacterReferences(text)) || url
  // Links cannot be nested: inside a link, the image's address is in its title.
  if (context.isInLink) return createElement('span', { class: 'image-link', title: url }, name)
  const link = createLink(url, [document.createTextNode(name)])
  link.className = 'image-link'
  return link
}

function toReference({ label, opening, tokens, closing }: ReferenceToken, context: Context): Node {
  const url = context.isInLink ? undefined : toSafeUrl(context.definitions.get(label) ?? '')
  const shown = toNodes(tokens, { ...context, isInLink: context.isInLink || url !== undefined })
  if (url !== undefined) return createLink(url, shown)
  return createElement('span', { [labelAttribute]: label }, opening, ...shown, revealControls(closing))
}

/** Creates a link with isolated text direction (`bdi`): its text cannot reorder the text beside it. */
function createLink(url: string, shown: readonly Node[]): HTMLAnchorElement {
  const attributes = { href: url, rel: 'noopener noreferrer', target: '_blank' }
  return createElement('a', attributes, createElement('bdi', {}, ...shown))
}
