import { render } from 'preact'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Markdown } from './markdown.js'
import { oddTexts } from './odd-texts.test-support.js'

let host: HTMLElement
beforeEach(() => {
  host = document.body.appendChild(document.createElement('div'))
})
afterEach(() => {
  render(null, host)
  host.remove()
  vi.restoreAllMocks()
})

const nextRender = () => new Promise((resolve) => setTimeout(resolve, 0))

async function show(text: string, isDone = true): Promise<void> {
  render(<Markdown text={text} isDone={isDone} />, host)
  await nextRender()
}

async function stream(text: string, length: number): Promise<void> {
  for (let end = length; end < text.length; end += length) await show(text.slice(0, end), false)
  await show(text)
}

const content = () => host.querySelector('.markdown > div')!
const find = (selector: string) => content().querySelector<HTMLElement>(selector)

/** The visible text without the Copy buttons. */
function readText(): string {
  const copy = content().cloneNode(true) as HTMLElement
  copy.querySelectorAll('.copy-code').forEach((button) => button.remove())
  return copy.textContent
}

/** The HTML with adjacent text nodes merged. */
function readHtml(): string {
  const copy = content().cloneNode(true)
  copy.normalize()
  return (copy as HTMLElement).innerHTML
}

describe.each(Object.entries(oddTexts))('%s', (_, text) => {
  it('looks the same whether it arrives at once or in pieces', async () => {
    await show(text)
    const whole = readHtml()
    await stream(text, text.length > 3000 ? 211 : 9)
    expect(readHtml()).toBe(whole)
  })

  it('loses no word', async () => {
    await show(text)
    const addresses = [...content().querySelectorAll('a')]
      .map((link) => `${link.href} ${link.title}`)
      .join(' ')
    const numbers = [...content().querySelectorAll('li')].map(({ value }) => value).join(' ')
    const shown = `${readText()} ${addresses} ${numbers}`.toLowerCase()
    const source = text.replaceAll(/&[#\w]+;|\[[xX]\]|[*_]{2,}/g, ' ').toLowerCase()
    const lost = (source.match(/[\p{L}\p{N}$]{2,}/gu) ?? []).filter((word) => !shown.includes(word))
    expect(lost).toEqual([])
  })
})

it.each([
  ['arr[0] and f[0](x)', 'arr[0] and f[0](x)'],
  ['snake_case and __init__ of $HOME', 'snake_case and init of $HOME'],
  ['2 * 3 * 4', '2 * 3 * 4'],
  ['unclosed [a](', 'unclosed [a]('],
  ['unclosed **bold and `code', 'unclosed **bold and `code'],
  ['[a](/relative) ![b](data:x)', '[a](/relative) ![b](data:x)'],
  ['<b>bold</b> <!-- comment -->', '<b>bold</b> <!-- comment -->'],
  ['AT&T &amp; &lt;b&gt; &unknown; `&amp;`', 'AT&T & <b> &unknown; &amp;'],
  ['[^1] and\n\n[^1]: Note', '[^1] and[^1]: Note'],
  ['[a]: https://example.com', '[a]: https://example.com'],
  ['| a |\n|---|\n| 1 | 2 | 3 |', 'a1 2 3'],
  ['```\nunclosed\n``', 'unclosed ``'],
  ['\\*not bold\\*', '*not bold*'],
  ['`a\u202Eb`', 'a\\u202Eb'],
])('%j is shown as %j', async (text, expected) => {
  await show(text)
  expect(readText().replaceAll(/\s+/g, ' ').trim()).toBe(expected)
})

it('random texts of marks and words lose no word and look the same in pieces', async () => {
  const marks = [
    '*',
    '**',
    '_',
    '~~',
    '`',
    '```',
    '[',
    '](',
    ')',
    '![',
    '<',
    '>',
    '\n',
    '\n\n',
    '- ',
    '1. ',
    '# ',
    '|',
    '\\',
    '    ',
  ]
  let state = 7
  const pick = (count: number) => (state = (state * 48_271) % 2_147_483_647) % count
  for (let round = 0; round < 60; round += 1) {
    const words = Array.from(
      { length: 40 },
      (_, index) => `w${index}${pick(2) === 0 ? ' ' : ''}${marks[pick(marks.length)]}`,
    )
    const text = words.join('')
    await show(text)
    const whole = readHtml()
    const addresses = [...content().querySelectorAll('[href]')]
      .map((link) => link.getAttribute('href'))
      .join()
    const shown = readText() + addresses
    expect({
      text,
      lost: words.map((_, index) => `w${index}`).filter((word) => !shown.includes(word)),
    }).toEqual({ text, lost: [] })
    await stream(text, 11)
    expect({ text, html: readHtml() }).toEqual({ text, html: whole })
  }
})

it('a selection survives while more text streams', async () => {
  const text = 'First paragraph.\n\n- an item\n- another with **words**\n\nLast paragraph that grows'
  await show(text, false)
  const first = find('p')!
  const last = [...content().querySelectorAll('p')].at(-1)!
  getSelection()!.setBaseAndExtent(first.firstChild!, 6, last.firstChild!, 4)
  const selected = getSelection()!.toString()
  const more = ', word by word, with *emphasis* and\n\nmore below.\n\n```js\nlet a = 1\n```\n'
  for (let end = 1; end < more.length; end += 3) await show(text + more.slice(0, end), false)
  await show(text + more)
  expect(getSelection()!.toString()).toBe(selected)
  expect(find('p')).toBe(first)
})

it('growing code stays selected, and Copy copies all of it', async () => {
  const code = Array.from({ length: 300 }, (_, line) => `const line${line} = [${line}]`).join('\n')
  const text = `\`\`\`ts\n${code}\n\`\`\`\n`
  await show(text.slice(0, 100), false)
  const range = document.createRange()
  range.selectNodeContents(find('.code-lines')!)
  range.setEnd(range.endContainer.firstChild!, 20)
  getSelection()!.removeAllRanges()
  getSelection()!.addRange(range)
  await stream(text, 200)
  expect(getSelection()!.toString()).toBe(code.slice(0, 20))
  const written = vi.spyOn(navigator.clipboard, 'writeText').mockResolvedValue()
  find('.copy-code')!.click()
  await vi.waitFor(() => expect(host.querySelector('[role=status]')!.textContent).toBe('Code copied.'))
  expect(written.mock.calls).toEqual([[code]])
  expect(find('.code-header span')!.textContent).toBe('ts')
})

it('reports when the browser blocks copying', async () => {
  await show('```\ncode\n```')
  vi.spyOn(navigator.clipboard, 'writeText').mockRejectedValue(new DOMException('', 'NotAllowedError'))
  find('.copy-code')!.click()
  await vi.waitFor(() => expect(host.querySelector('[role=status]')!.textContent).toMatch(/blocked/))
})

it('code that is wider than the page can be focused and scrolled with the keyboard', async () => {
  host.style.width = '200px'
  await show(`\`\`\`js\n${'x'.repeat(500)}\n\`\`\``)
  const code = find('pre')!
  code.focus()
  expect(document.activeElement).toBe(code)
  expect(code.scrollWidth).toBeGreaterThan(code.clientWidth)
  expect(getComputedStyle(code).overflowX).toBe('auto')
  expect(code.getAttribute('aria-label')).toBe('Code: js')
})

it('a reference becomes a link when its definition arrives', async () => {
  await stream('See [the page][p], [none][q].\n\nMore.\n\n[p]: https://example.com/p\n', 4)
  expect([...content().querySelectorAll('a')].map(({ textContent, href }) => [textContent, href])).toEqual([
    ['the page', 'https://example.com/p'],
    ['https://example.com/p', 'https://example.com/p'],
  ])
  expect(readText()).toContain('[none][q]')
})

it('an image is shown as a link and is not fetched', async () => {
  await show('![A cat](https://example.com/cat.png)')
  expect(find('img')).toBeNull()
  expect(find('a')!.textContent).toBe('A cat')
  expect(find('a')!.getAttribute('href')).toBe('https://example.com/cat.png')
})

it('a different text replaces the first one', async () => {
  await show('# One\n\n- a')
  await show('Two')
  expect(readHtml()).toBe('<p dir="auto">Two</p>')
})
