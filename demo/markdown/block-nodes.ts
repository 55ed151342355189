import type { MarkedToken, Token, Tokens } from 'marked'
import { createElement } from './create-element.js'
import { toInlineNodes, type Definitions } from './inline-nodes.js'
import { revealControls } from './reveal-controls.js'

/** Returns one node per block; blank lines have none. Ids and styles are never taken from the text. */
export function toBlockNodes(tokens: readonly Token[], definitions: Definitions): ChildNode[] {
  return (
    tokens
      // `createList` draws the checkbox of a task.
      .filter(({ type }) => type !== 'space' && type !== 'checkbox')
      .map((token) => toBlock(token as MarkedToken, definitions))
  )
}

/** Returns the parent of a growing block's pieces: a list's items, a table's rows, a code block's lines. */
export function findPieces(block: ChildNode): HTMLElement {
  const element = block as HTMLElement
  return element.querySelector<HTMLElement>(':scope > pre > code, :scope > table > tbody') ?? element
}

const autoDirection = { dir: 'auto' }

function toBlock(token: MarkedToken, definitions: Definitions): HTMLElement {
  const inline = (tokens: readonly Token[] = []) => toInlineNodes(tokens, definitions)
  switch (token.type) {
    case 'heading': {
      // The page uses h1 and h2; an answer is below an h2.
      const name = (['h3', 'h4', 'h5'] as const)[token.depth - 1] ?? 'h6'
      return createElement(name, autoDirection, ...inline(token.tokens))
    }
    case 'hr':
      return createElement('hr')
    case 'code':
      return createCodeBlock(token)
    case 'blockquote':
      return createElement('blockquote', autoDirection, ...toBlockNodes(token.tokens, definitions))
    case 'list':
      return createList(token, definitions)
    case 'table':
      return createTable(token, inline)
    case 'def':
      return createElement('p', autoDirection, ...inline(toDefinitionTokens(token.raw)))
    case 'paragraph':
    case 'text':
      return createElement('p', autoDirection, ...(token.tokens ? inline(token.tokens) : [token.raw]))
    default:
      return createElement('p', autoDirection, token.raw)
  }
}

function createCodeBlock({ lang, text }: Tokens.Code): HTMLElement {
  const language = revealControls(lang ?? '')
  const copy = createElement('button', { type: 'button', class: 'copy-code' }, 'Copy')
  const lines = text === '' ? [] : [createElement('span', { class: 'code-lines' }, revealControls(text))]
  const code = createElement('code', {}, ...lines)
  // Focusable, so that keyboard users can scroll it with the arrow keys.
  const pre = createElement('pre', { tabindex: '0', role: 'group', dir: 'ltr' }, code)
  pre.setAttribute('aria-label', language === '' ? 'Code' : `Code: ${language}`)
  const caption = createElement('div', { class: 'code-header' }, createElement('span', {}, language), copy)
  return createElement('div', { class: 'code-block' }, caption, pre)
}

function createList({ ordered, items }: Tokens.List, definitions: Definitions): HTMLElement {
  const list = createElement(ordered ? 'ol' : 'ul', autoDirection)
  for (const item of items) {
    const element = createElement('li', autoDirection, ...toBlockNodes(item.tokens, definitions))
    // Keep the number from the text: the items need not be numbered consecutively.
    const number = ordered ? /^\s*(\d+)/.exec(item.raw)?.[1] : undefined
    if (number !== undefined) element.setAttribute('value', number)
    if (item.task) {
      element.className = 'task'
      const box = createElement('input', { type: 'checkbox', disabled: '' })
      box.setAttribute('aria-label', item.checked ? 'Done' : 'To do')
      if (item.checked) box.setAttribute('checked', '')
      element.prepend(box)
    }
    list.append(element)
  }
  return list
}

function createTable(token: Tokens.Table, inline: (tokens?: readonly Token[]) => Node[]): HTMLElement {
  const toCell = (name: 'th' | 'td', cell: Tokens.TableCell) => {
    const element = createElement(name, autoDirection, ...inline(cell.tokens))
    if (cell.align !== null) element.className = `align-${cell.align}`
    if (name === 'th') element.setAttribute('scope', 'col')
    return element
  }
  const head = createElement('tr', {}, ...token.header.map((cell) => toCell('th', cell)))
  const lines = token.raw.split('\n').slice(2)
  const rows = token.rows.map((row, index) => {
    const surplus = findSurplusCells(lines[index] ?? '', row.length)
    const cells = row.map((cell) => toCell('td', cell))
    return createElement(
      'tr',
      {},
      ...cells,
      ...surplus.map((text) => createElement('td', autoDirection, text)),
    )
  })
  const table = createElement(
    'table',
    {},
    createElement('thead', {}, head),
    createElement('tbody', {}, ...rows),
  )
  return createElement(
    'div',
    { class: 'table-block', tabindex: '0', role: 'group', 'aria-label': 'Table' },
    table,
  )
}

/** Returns a row's cells after the last column, which marked drops. */
function findSurplusCells(line: string, columns: number): readonly string[] {
  const cells = line.trim().match(/(?:\\.|[^\\|])+|\||\\/gs) ?? ['']
  const texts: string[] = ['']
  for (const cell of cells) {
    if (cell === '|') texts.push('')
    else texts[texts.length - 1] += cell
  }
  if (texts[0]!.trim() === '') texts.shift()
  if (texts.at(-1)?.trim() === '') texts.pop()
  return texts.slice(columns)
}

/** A link definition stays visible, like a list of sources, with its address as a link. */
function toDefinitionTokens(raw: string): readonly Token[] {
  const [, before = raw, address = '', after = ''] =
    /^(\s*\[[^]*?\]:\s*)(<[^>\n]*>|\S+)([^]*)$/.exec(raw) ?? []
  const toText = (text: string) => ({ type: 'text', raw: text, text })
  const href = address.replaceAll(/^<|>$/g, '')
  const link = { type: 'link', raw: address, text: href, href, tokens: [toText(address)] }
  return [toText(before), link, toText(after)]
}
