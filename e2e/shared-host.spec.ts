// One model for all tabs: `host: 'shared'`.
import { expect, test, type BrowserContext, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions } from 'rivulet'
import { embeddedModel, openBarePage, startServiceWorker, type Device } from './bare-page.js'
import { readProcesses } from './bench/browser-memory.js'
import { openPlainPage, type PlainPage } from './plain-page.js'
import { barePageUrl } from './ports.js'

const question = 'Tell me a story about a dragon.'
const long = { temperature: 0, maxTokens: 64 } as const

interface Tab {
  readonly page: Page
  readonly engine: JSHandle<Engine>
}

/** Opens a tab whose engine shares its worker. The test can inject faults into the worker. */
async function openTab(context: BrowserContext, device: Device = 'wasm'): Promise<Tab> {
  const page = await openBarePage(await context.newPage())
  return { page, engine: await loadShared(page, device) }
}

function loadShared(page: Page, device: Device = 'wasm'): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ model, device }) => {
      const { createEngine, onnx } = window.rivulet
      const backend = onnx({ device, worker: window.createFaultyWorker })
      return createEngine({ backend, model, host: { kind: 'shared', lingerMs: 0 } })
    },
    { model: embeddedModel, device },
  )
}

const ask = (engine: JSHandle<Engine>, options: Omit<GenerateOptions, 'signal'> = long) =>
  engine.evaluate(
    async (engine, { question, options }) => {
      const { text, recoveries } = await engine.generate(question, options).result
      return { text, recoveries }
    },
    { question, options },
  )

/** Starts an answer. When the reader has its first chunks, `started` resolves. */
async function startAnswer(engine: JSHandle<Engine>) {
  const answer = await engine.evaluateHandle(
    (engine, { question, long }) => {
      const stream = engine.generate(question, long)
      const reader = stream.getReader()
      let text = ''
      const read = async () => {
        const { done, value } = await reader.read()
        text += value?.text ?? ''
        return done
      }
      return {
        async start() {
          for (let chunks = 0; chunks < 4; chunks += 1) await read()
        },
        async end() {
          while (!(await read()));
          const { recoveries } = await stream.result
          return { text, recoveries }
        },
      }
    },
    { question, long },
  )
  await answer.evaluate((answer) => answer.start())
  return { end: () => answer.evaluate((answer) => answer.end()) }
}

/** The tabs, first the one whose worker holds the model. */
function findSeat(tabs: readonly Tab[]): readonly Tab[] {
  const sorted = tabs.toSorted((a, b) => b.page.workers().length - a.page.workers().length)
  expect(sorted.map(({ page }) => page.workers().length)).toEqual([1, ...tabs.slice(1).map(() => 0)])
  return sorted
}

test('four tabs that open at once share one download and one worker', async ({ context }) => {
  let weightRequests = 0
  await context.route('**/models/stories/**', (route) => {
    if (route.request().url().endsWith('.onnx')) weightRequests += 1
    return route.continue()
  })
  const tabs = await Promise.all([1, 2, 3, 4].map(() => openTab(context)))
  const answers = await Promise.all(tabs.map(({ engine }) => ask(engine)))
  for (const answer of answers) expect(answer).toEqual({ text: answers[0]!.text, recoveries: 0 })
  for (const { engine } of tabs)
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({ host: 'shared', device: 'wasm' })
  findSeat(tabs)
  expect(weightRequests).toBe(1)
})

test('a tab that closes loses only its own answers, also the tab whose worker holds the model', async ({
  context,
}) => {
  const tabs = [await openTab(context), await openTab(context), await openTab(context)]
  const [seat, second, third] = findSeat(tabs) as [Tab, Tab, Tab]
  const undisturbed = await ask(second.engine)
  const waiting = await startAnswer(third.engine)
  const answer = ask(second.engine)
  await third.page.close()
  expect(await answer).toEqual(undisturbed)

  void waiting
  const interrupted = await startAnswer(second.engine)
  await seat.page.close()
  expect(await interrupted.end()).toEqual({ ...undisturbed, recoveries: 1 })
  findSeat([second])
})

test('the last engine frees the model, and an engine of another tab does not', async ({ context }) => {
  const tabs = [await openTab(context), await openTab(context)]
  const [seat, other] = findSeat(tabs) as [Tab, Tab]
  const undisturbed = await ask(other.engine)
  await seat.engine.evaluate((engine) => engine.dispose())
  expect(await ask(other.engine)).toEqual(undisturbed)
  await other.engine.evaluate((engine) => engine.dispose())
  await expect.poll(() => seat.page.workers().length).toBe(0)
})

test('another version of the worker, and a page without SharedWorker, have a model of their own', async ({
  context,
}) => {
  const { page } = await openTab(context)
  const seen = await page.evaluate(async (model) => {
    const { createEngine, onnx } = window.rivulet
    const countSeats = async () => {
      const { held = [] } = await navigator.locks.query()
      return held.filter(({ name }) => name?.startsWith('rivulet seat ')).length
    }
    const options = { backend: onnx({ device: 'wasm' }), model }
    // The package's own worker: a script with another URL.
    const other = await createEngine({ ...options, host: 'shared' })
    const seats = await countSeats()
    Reflect.deleteProperty(window, 'SharedWorker')
    const alone = await createEngine({ ...options, host: 'shared' })
    return { seats, seatsAfter: await countSeats(), hosts: [other.info.host, alone.info.host] }
  }, embeddedModel)
  expect(seen).toEqual({ seats: 2, seatsAfter: 2, hosts: ['shared', 'tab'] })
})

/** An answer of the test below. */
interface Seen {
  readonly prompt: number
  readonly text: string
  readonly finishReason: string
  readonly queueMs: number
}

const heroes = ['dragon', 'cat', 'robot', 'little girl', 'king', 'fish', 'big tree', 'mouse', 'boat', 'star']
const requests = heroes.map((hero, index) => ({
  prompt: `Tell me a story about a ${hero}.`,
  options: {
    maxTokens: 24,
    ...(index % 2 === 0 ? { temperature: 0 } : { temperature: 0.9, topK: 40, seed: index }),
  },
}))

/** Starts many answers at once, and cancels some of them. */
function startMany(engine: JSHandle<Engine>, count: number, cancelRate: number) {
  return engine.evaluateHandle(
    (engine, { requests, count, cancelRate }) => {
      const seen: Seen[] = []
      const run = async (index: number) => {
        const number = index % requests.length
        const { prompt, options } = requests[number]!
        const stream = engine.generate(prompt, options)
        const cancelAt = Math.random() < cancelRate ? Math.floor(Math.random() * 20) : Infinity
        if (cancelAt === 0) setTimeout(() => void stream.cancel(), Math.random() * 2000)
        for await (const { index } of stream) if (index + 1 === cancelAt) void stream.cancel()
        const { text, finishReason, latency } = await stream.result
        seen.push({ prompt: number, text, finishReason, queueMs: latency.queueMs })
      }
      const done = Promise.all(Array.from({ length: count }, (_, index) => run(index))).then(() => seen)
      return { seen, done }
    },
    { requests, count, cancelRate },
  )
}

test(
  'of 100 answers in four tabs, with cancels, closed tabs and a killed worker, every remaining text is exact',
  { tag: '@soak' },
  async ({ context }) => {
    test.setTimeout(600_000)
    const tabs = await Promise.all([1, 2, 3, 4].map(() => openTab(context)))
    const expected = await tabs[0]!.engine.evaluate(async (engine, requests) => {
      const texts: string[] = []
      for (const { prompt, options } of requests) texts.push(await engine.generate(prompt, options).text())
      return texts
    }, requests)
    expect(new Set(expected).size).toBeGreaterThan(7)
    const runs = await Promise.all(
      tabs.map(async ({ page, engine }) => ({ page, engine, many: await startMany(engine, 25, 0.3) })),
    )
    const whenSeen = (many: (typeof runs)[number]['many'], count: number) =>
      expect.poll(() => many.evaluate(({ seen }) => seen.length)).toBeGreaterThanOrEqual(count)
    const [seat, second, third, last] = findSeat(runs) as typeof runs
    await whenSeen(last!.many, 4)
    await seat!.page.evaluate(() => window.breakWorker('terminate'))
    await whenSeen(last!.many, 9)
    await second!.page.close()
    await whenSeen(last!.many, 14)
    const remaining = [seat!, third!, last!]
    const [newSeat, ...others] = findSeat(remaining) as typeof runs
    await newSeat!.page.close()
    for (const { many } of others) {
      const seen = await many.evaluate(({ done }) => done)
      expect(seen.length).toBe(25)
      for (const { prompt, text, finishReason } of seen) {
        if (finishReason === 'cancelled') expect(expected[prompt]!.startsWith(text)).toBe(true)
        else expect(text).toBe(expected[prompt])
      }
      expect(seen.filter(({ finishReason }) => finishReason !== 'cancelled').length).toBeGreaterThan(5)
    }
  },
)

test(
  'tabs wait equally long, however many answers another tab asks for',
  { tag: '@soak' },
  async ({ context }) => {
    test.setTimeout(600_000)
    const tabs = await Promise.all([1, 2, 3, 4].map(() => openTab(context)))
    // The first tab asks for all of its answers before the others ask.
    const all = [await startMany(tabs[0]!.engine, 20, 0)]
    for (const { engine } of tabs.slice(1)) all.push(await startMany(engine, 10, 0))
    const waits: number[] = []
    for (const many of all) {
      // The first tab's other ten have nobody to take turns with.
      const seen = (await many.evaluate(({ done }) => done)).slice(0, 10)
      waits.push(seen.reduce((sum, { queueMs }) => sum + queueMs, 0) / seen.length)
    }
    console.log(`Mean wait of each tab: ${waits.map((ms) => Math.round(ms)).join(', ')} ms`)
    expect(Math.max(...waits) / Math.min(...waits)).toBeLessThan(1.5)
  },
)

test(
  'a tab that crashes takes the switchboard with it, and the others continue',
  { tag: '@soak' },
  async ({ context }) => {
    // The switchboard runs in the process of the first tab.
    const [first, second, third] = [
      await openTab(context),
      await openTab(context),
      await openTab(context),
    ] as const
    findSeat([first, second, third])
    const undisturbed = await ask(second.engine)
    const interrupted = await startAnswer(second.engine)
    const session = await context.newCDPSession(first.page)
    const crashed = first.page.waitForEvent('crash')
    session.send('Page.crash').catch(() => {})
    await crashed
    expect(await interrupted.end()).toEqual({ ...undisturbed, recoveries: 1 })
    expect((await ask(third.engine)).text).toBe(undisturbed.text)
    findSeat([second, third])
    // The next tab finds the others by the new switchboard.
    const fourth = await openTab(context)
    expect(await ask(fourth.engine)).toEqual(undisturbed)
    findSeat([second, third, fourth])
  },
)

test('after a lost GPU, the answers of all tabs continue', { tag: '@soak' }, async ({ context }) => {
  test.setTimeout(600_000)
  const tabs = [await openTab(context, 'webgpu'), await openTab(context, 'webgpu')]
  const [seat, other] = findSeat(tabs) as [Tab, Tab]
  const undisturbed = await ask(other.engine)
  const answers = [await startAnswer(seat.engine), ask(other.engine)] as const
  await seat.page.evaluate(() => window.breakWorker('lose the device'))
  expect(await answers[0].end()).toEqual({ ...undisturbed, recoveries: 1 })
  expect((await answers[1]).text).toBe(undisturbed.text)
  for (const { engine } of tabs)
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({ host: 'shared', device: 'webgpu' })
  findSeat(tabs)
})

test(
  'every tab can serve the service-worker route with the one model',
  { tag: '@soak' },
  async ({ context }) => {
    const tabs = [await openTab(context), await openTab(context)]
    for (const { page, engine } of tabs) {
      await startServiceWorker(page)
      await engine.evaluate(async (engine) => void (await window.rivulet.serveOpenai(engine)))
    }
    const [seat, other] = findSeat(tabs) as [Tab, Tab]
    const request = {
      model: 'local',
      temperature: 0,
      max_tokens: 12,
      messages: [{ role: 'user', content: question }],
    }
    const fetchAnswer = () =>
      other.page.evaluate(async (body) => {
        const response = await fetch('/v1/chat/completions', { method: 'POST', body })
        const { choices } = (await response.json()) as { choices: { message: { content: string } }[] }
        return choices[0]!.message.content
      }, JSON.stringify(request))
    const answer = await fetchAnswer()
    expect(answer).toMatch(/^Once upon a time/)
    await seat.page.close()
    expect(await fetchAnswer()).toBe(answer)
  },
)

type FrozenWindow = Window & {
  answer?: { text: string; isDone: boolean; recoveries: number }
  engine?: Engine
}

/** Runs in a page that Playwright does not control. */
async function loadInPlainPage(): Promise<void> {
  const { createEngine, onnx } = window.rivulet
  const backend = onnx({ device: 'wasm', worker: window.createFaultyWorker })
  const host = { kind: 'shared', lingerMs: 0 } as const
  const model = './models/stories/'
  const engine = await createEngine({ backend, model, host, silenceTimeoutMs: 3000 })
  Object.assign(window, { engine })
}

/** Runs in such a page. Reads slowly, so that the page can be frozen in the middle. */
function startInPlainPage(): void {
  const answer = { text: '', isDone: false, recoveries: 0 }
  Object.assign(window, { answer })
  const read = async () => {
    const stream = (window as FrozenWindow).engine!.generate('Tell me a story about a dragon.', {
      temperature: 0,
      maxTokens: 64,
    })
    for await (const { text } of stream) {
      answer.text += text
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    answer.recoveries = (await stream.result).recoveries
    answer.isDone = true
  }
  void read()
}

const readAnswer = (page: PlainPage) => page.evaluate(() => (window as FrozenWindow).answer)

async function openPlainTab(browser: Parameters<typeof openPlainPage>[0]): Promise<PlainPage> {
  const page = await openPlainPage(browser, barePageUrl)
  await expect.poll(() => page.evaluate(() => 'rivulet' in window)).toBe(true)
  await page.evaluate(loadInPlainPage)
  return page
}

test(
  'a frozen tab keeps nobody waiting, and continues its answer when it is back',
  { tag: '@soak' },
  async ({ browser }) => {
    const first = await openPlainTab(browser)
    const second = await openPlainTab(browser)
    try {
      await first.evaluate(startInPlainPage)
      await expect.poll(async () => (await readAnswer(first))?.isDone).toBe(true)
      const { text } = (await readAnswer(first))!
      // `second` uses the worker of `first`.
      for (const [frozen, other] of [
        [second, first],
        [first, second],
      ] as const) {
        await frozen.evaluate(startInPlainPage)
        await expect.poll(async () => (await readAnswer(frozen))?.text.length).toBeGreaterThan(5)
        await frozen.setFrozen(true)
        await other.evaluate(startInPlainPage)
        await expect.poll(async () => (await readAnswer(other))?.isDone).toBe(true)
        expect((await readAnswer(other))!.text).toBe(text)
        await frozen.setFrozen(false)
        await expect.poll(async () => (await readAnswer(frozen))?.isDone).toBe(true)
        expect((await readAnswer(frozen))!.text).toBe(text)
      }
    } finally {
      await first.close()
      await second.close()
    }
  },
)

test(
  'four tabs with one model need little more memory than one',
  { tag: ['@alone', '@soak'] },
  async ({ browser }) => {
    const session = await browser.newBrowserCDPSession()
    const measure = async (engines: number) => {
      const context = await browser.newContext()
      const pages: Page[] = []
      for (let count = 0; count < 4; count += 1) pages.push(await openBarePage(await context.newPage()))
      for (const page of pages.slice(0, engines)) await ask(await loadShared(page))
      await new Promise((resolve) => setTimeout(resolve, 3000))
      const bytes = await readProcesses(session)
      await context.close()
      await new Promise((resolve) => setTimeout(resolve, 1000))
      return bytes!.renderer + bytes!.gpu
    }
    // All four pages are open in both cases: a page needs memory without a model, too.
    const one = await measure(1)
    const four = await measure(4)
    console.log(
      `Renderers and GPU process: ${Math.round(one / 2 ** 20)} MiB, ${Math.round(four / 2 ** 20)} MiB`,
    )
    expect(four / one).toBeLessThan(1.15)
  },
)
