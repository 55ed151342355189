import { render } from 'preact'
import { afterEach, describe, expect, it } from 'vitest'
import { hostileTexts, runMark } from './hostile-texts.test-support.js'
import { Markdown } from './markdown.js'

const bidiControls = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/
const activeElements =
  'script, iframe, frame, object, embed, img, image, picture, source, video, audio, svg, math, style, link, meta, base, form, template'

/** The effects of a text on the page that shows it. */
interface Harm {
  readonly didRun: boolean
  readonly requests: readonly string[]
  readonly elements: readonly string[]
  readonly attributes: readonly string[]
  readonly addresses: readonly string[]
}

const none: Harm = { didRun: false, requests: [], elements: [], attributes: [], addresses: [] }

let host: HTMLElement | undefined
afterEach(() => {
  host?.remove()
  Reflect.deleteProperty(globalThis, runMark)
})

/** Shows a text and records its effects. `addresses` covers what a click would do. */
async function observe(show: (element: HTMLElement) => Promise<void> | void): Promise<Harm> {
  const requests: string[] = []
  const observer = new PerformanceObserver((list) => {
    requests.push(
      ...list
        .getEntries()
        .map(({ name }) => name)
        .filter((name) => !name.startsWith(location.origin)),
    )
  })
  observer.observe({ type: 'resource' })
  const onViolation = ({ blockedURI }: SecurityPolicyViolationEvent) => requests.push(blockedURI)
  document.addEventListener('securitypolicyviolation', onViolation)
  const dialogs = replaceDialogs()
  host = document.body.appendChild(document.createElement('div'))
  await show(host)
  // The `onerror` script of an image runs a little later.
  await new Promise((resolve) => setTimeout(resolve, 30))
  document.removeEventListener('securitypolicyviolation', onViolation)
  observer.disconnect()
  const elements = [...host.querySelectorAll('*')]
  const attributes = elements.flatMap((element) => element.getAttributeNames())
  const links = [...host.querySelectorAll('[href]')].map((link) => link.getAttribute('href')!)
  return {
    didRun: runMark in globalThis || dialogs.didOpen(),
    requests,
    elements: elements.filter((element) => element.matches(activeElements)).map(({ localName }) => localName),
    attributes: attributes.filter((name) =>
      /^(on|style$|id$|name$|src|ping$|formaction$|action$)/.test(name),
    ),
    addresses: links.filter((address) => !/^(https?|mailto):/.test(address)),
  }
}

function replaceDialogs() {
  let isOpen = false
  const { alert } = globalThis
  globalThis.alert = () => void (isOpen = true)
  return {
    didOpen() {
      globalThis.alert = alert
      return isOpen
    },
  }
}

async function stream(text: string, length: number, element: HTMLElement): Promise<void> {
  for (let end = length; end < text.length; end += length) {
    render(<Markdown text={text.slice(0, end)} isDone={false} />, element)
    await nextRender()
  }
  render(<Markdown text={text} isDone />, element)
  await nextRender()
}

const nextRender = () => new Promise((resolve) => setTimeout(resolve, 0))

it('there are at least 60 different texts', () => {
  expect(new Set(hostileTexts).size).toBeGreaterThanOrEqual(60)
  expect(new Set(hostileTexts).size).toBe(hostileTexts.length)
})

describe.each(hostileTexts)('%j', (text) => {
  it('runs nothing and fetches nothing when shown at once', async () => {
    expect(await observe((element) => stream(text, Infinity, element))).toEqual(none)
    expectReadable()
  })

  it('runs nothing and fetches nothing while it streams', async () => {
    expect(await observe((element) => stream(text, 5, element))).toEqual(none)
    expectReadable()
  })
})

function expectReadable(): void {
  for (const element of host!.querySelectorAll('a, code'))
    expect(element.textContent).not.toMatch(bidiControls)
  for (const link of host!.querySelectorAll('a')) {
    expect(link.rel).toBe('noopener noreferrer')
    expect(link.target).toBe('_blank')
  }
}

/** Renders as in marked's documentation, without a sanitizer. */
it('rendered as HTML without a sanitizer, the same texts run scripts, send requests and insert elements', async () => {
  const { marked } = await import('marked')
  const seen: Harm[] = []
  for (const text of hostileTexts.filter((hostile) => !/<(meta|base|body)/.test(hostile))) {
    seen.push(await observe((element) => void (element.innerHTML = marked.parse(text, { async: false }))))
    host?.remove()
  }
  expect(seen.some(({ didRun }) => didRun)).toBe(true)
  for (const kind of ['requests', 'elements', 'attributes', 'addresses'] as const) {
    expect(seen.flatMap((harm) => harm[kind])).not.toEqual([])
  }
})
