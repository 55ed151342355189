import { writeFileSync } from 'node:fs'
import type { DrivenPage } from './driver.js'
import { waitForFunction } from './wait-for-function.js'
import { elementKey, type WebDriverSession } from './webdriver.js'

// Playwright's types of these functions depend on the function that is passed. Here each is what it is at run time.
type PageFunction = string | ((...parameters: never[]) => unknown)

/** A page over WebDriver that evaluates as Playwright's do: with handles, and several functions at a time. */
export class WebDriverPage {
  readonly #session: WebDriverSession
  readonly #window: string
  #evaluations = 0

  constructor(session: WebDriverSession, window: string) {
    this.#session = session
    this.#window = window
  }

  /** The type of the tests' pages. */
  asDrivenPage(): DrivenPage {
    return this as unknown as DrivenPage
  }

  goto(url: string): Promise<unknown> {
    return this.#send('POST', '/url', { url })
  }

  goBack(): Promise<unknown> {
    return this.#send('POST', '/back', {})
  }

  async evaluate(run: PageFunction, argument?: unknown): Promise<unknown> {
    return (await this.#run(run, [argument])).value
  }

  async evaluateHandle(run: PageFunction, argument?: unknown): Promise<WebDriverHandle> {
    return new WebDriverHandle(this, (await this.#run(run, [argument], 'keep')).id)
  }

  waitForFunction(run: PageFunction, argument?: unknown): Promise<void> {
    return waitForFunction(() => this.evaluate(run, argument))
  }

  async click(selector: string): Promise<void> {
    await this.#send('POST', `${await this.#find(selector)}/click`, {})
  }

  /** A line break in the text is the Enter key. */
  async type(selector: string, text: string): Promise<void> {
    await this.#send('POST', `${await this.#find(selector)}/value`, { text: text.replaceAll('\n', '\uE007') })
  }

  async screenshot({ path }: { readonly path: string }): Promise<void> {
    writeFileSync(path, Buffer.from((await this.#send('GET', '/screenshot')) as string, 'base64'))
  }

  async close(): Promise<void> {
    await this.#send('DELETE', '/window')
  }

  /** Calls a function with a kept value. */
  async evaluateOn(id: number, run: PageFunction, argument: unknown): Promise<unknown> {
    return (await this.#run(run, [{ kept: id }, argument])).value
  }

  async evaluateHandleOn(id: number, run: PageFunction, argument: unknown): Promise<WebDriverHandle> {
    return new WebDriverHandle(this, (await this.#run(run, [{ kept: id }, argument], 'keep')).id)
  }

  #send(method: 'DELETE' | 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    return this.#session.sendTo(this.#window, method, path, body)
  }

  async #find(selector: string): Promise<string> {
    const found = (await this.#send('POST', '/element', {
      using: 'css selector',
      value: selector,
    })) as Readonly<Record<string, string>>
    return `/element/${found[elementKey]}`
  }

  /**
   * Calls a function in the page. WebDriver runs one script at a time, in one window. So each script waits only a moment for
   * the function's promise, and the next script asks again.
   */
  async #run(run: PageFunction, parameters: readonly unknown[], outcome: 'return' | 'keep' = 'return') {
    this.#evaluations += 1
    const id = this.#evaluations
    const body = typeof run === 'string' ? `() => (${run})` : String(run)
    let answer = await this.#execute(`${start}(${id}, ${body}, ${JSON.stringify(parameters)}, '${outcome}')`)
    while (answer.kind === 'running') answer = await this.#execute(`${wait}(${id})`)
    if (answer.kind === 'error') throw new Error(answer.message)
    return { id, value: answer.json === undefined ? undefined : (JSON.parse(answer.json) as unknown) }
  }

  async #execute(promise: string): Promise<Answer> {
    const script = `const done = arguments[arguments.length - 1]; ${promise}.then(done)`
    return (await this.#send('POST', '/execute/async', { script, args: [] })) as Answer
  }
}

class WebDriverHandle {
  readonly #page: WebDriverPage
  readonly #id: number

  constructor(page: WebDriverPage, id: number) {
    this.#page = page
    this.#id = id
  }

  evaluate(run: PageFunction, argument?: unknown): Promise<unknown> {
    return this.#page.evaluateOn(this.#id, run, argument)
  }

  evaluateHandle(run: PageFunction, argument?: unknown): Promise<WebDriverHandle> {
    return this.#page.evaluateHandleOn(this.#id, run, argument)
  }
}

type Answer =
  | { readonly kind: 'running' }
  | { readonly kind: 'value'; readonly json?: string }
  | { readonly kind: 'error'; readonly message: string }

/** How long a script waits for a result. Other windows' scripts wait for it. */
const pollMs = 100

// These two run in the page. When WebKit puts a page into its back/forward cache, it answers a script that is still running there
// neither with a result nor with the script timeout: the page's timers and promises stop. So the script ends at `pagehide`.
const wait = `(async (id) => {
  const isLeft = { kind: 'error', message: 'The page was left.' }
  const running = window.driven?.running.get(id)
  if (!running) return isLeft
  const ended = new AbortController()
  const left = new Promise((resolve) => addEventListener('pagehide', () => resolve(isLeft), { signal: ended.signal }))
  const late = new Promise((resolve) => setTimeout(resolve, ${pollMs}, { kind: 'running' }))
  return Promise.race([running, left, late]).finally(() => ended.abort())
})`
const start = `(async (id, run, parameters, outcome) => {
  const { kept, running } = (window.driven ??= { kept: new Map(), running: new Map() })
  const values = parameters.map((each) => (each?.kept === undefined ? each ?? undefined : kept.get(each.kept)))
  const call = async () => {
    try {
      const value = await run(...values)
      if (outcome === 'keep') return void kept.set(id, value) ?? { kind: 'value' }
      return { kind: 'value', json: JSON.stringify(value) }
    } catch (error) {
      return { kind: 'error', message: String(error) + '\\n' + (error?.stack ?? '') }
    }
  }
  running.set(id, call())
  return ${wait}(id)
})`
