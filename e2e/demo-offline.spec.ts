// The built demo on a static file host below a path: offline, and isolated by its service worker.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { expect, test as base } from 'rivulet/playwright'
import { startFaultServer } from '../workers/store/fault-server.test-support.js'
import { answers, ask, serveAnswers, state, isLeftSharedWorker } from './demo-page.js'
import type { FakeServer } from './fake-server.js'
import { startStaticHost, type StaticHost } from './static-host.js'

const built = 'dist-demo'
const isolatingHeaders = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

interface Servers {
  readonly host: StaticHost
  /** Generates answers, for tests that need no local model. */
  readonly answering: FakeServer
}

const test = base.extend<Servers>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright requires destructuring here
  host: async ({}, use) => {
    const host = await startStaticHost(built)
    await use(host)
    host.close()
  },
  answering: serveAnswers,
})

const device = (page: Page) => page.getByTestId('device')
/** The page's URL on the host, with a server as the backend. */
const locateServerDemo = (host: StaticHost, { url }: FakeServer) =>
  `${host.url}?backend=remote&server=${encodeURIComponent(url)}&model=story-model`

const isIsolated = (page: Page) => page.evaluate(() => crossOriginIsolated).catch(() => false)

/** Counts how many documents the page has loaded. */
function countLoads(page: Page): () => number {
  let loads = 0
  page.on('domcontentloaded', () => (loads += 1))
  return () => loads
}

/** Waits until the service worker controls the page. */
async function waitForControl(page: Page): Promise<void> {
  await expect
    .poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null).catch(() => false))
    .toBe(true)
}

/** Returns the paths of all cached files of this site. */
function listCached(page: Page): Promise<readonly string[]> {
  return page.evaluate(async () => {
    const names = await caches.keys()
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()))
    return requests.flat().map(({ url }) => new URL(url).pathname)
  })
}

for (const backend of ['onnx', 'llama-cpp']) {
  test(`after one visit the page opens and answers offline on ${backend}, without a request to the network`, async ({
    page,
    context,
    host,
    rivulet,
  }) => {
    host.headers = isolatingHeaders
    // The name makes this a host on the network: `localhost` is asked also while the browser is offline.
    const url = host.url.replace('localhost', 'demo.localhost')
    await page.goto(`${url}?device=wasm&backend=${backend}`)
    await expect(state(page, 'ready')).toBeVisible()
    await waitForControl(page)
    host.close()
    await context.setOffline(true)
    const failed: string[] = []
    page.on('requestfailed', (request) => {
      if (!isLeftSharedWorker(request)) failed.push(request.url())
    })
    page.on('console', (message) => message.type() === 'error' && failed.push(message.text()))
    await page.reload()
    const stream = rivulet.nextStream()
    await ask(page, 'Tell me a story about a dragon.')
    await expect(stream).toHaveStreamed(/\w+ \w+ \w+ \w+/)
    await expect(answers(page).first()).toHaveText(/\w+ \w+ \w+ \w+/)
    expect(failed).toEqual([])
  })
}

test('the page can be installed', async ({ page, host }) => {
  host.headers = isolatingHeaders
  await page.goto(host.url)
  await waitForControl(page)
  const session = await page.context().newCDPSession(page)
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
  // This error is about the test's incognito window, not about the page.
  const errors = installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito')
  expect(errors).toEqual([])
})

test.describe('without a service worker', () => {
  test.use({ serviceWorkers: 'block' })

  test('without isolation headers the page works on one thread', async ({ page, host }) => {
    const countedLoads = countLoads(page)
    await page.goto(`${host.url}?device=wasm&backend=llama-cpp`)
    await ask(page, 'Tell me a story about a dragon.')
    await expect(answers(page).first()).toHaveText(/\w+ \w+ \w+ \w+/)
    await expect(device(page)).toHaveText(/1 thread/)
    expect(await isIsolated(page)).toBe(false)
    expect(countedLoads()).toBe(1)
  })
})

test('without isolation headers the page reloads once, is isolated, and uses threads', async ({
  page,
  host,
  answering,
}) => {
  const countedLoads = countLoads(page)
  await page.goto(`${host.url}?device=wasm&backend=llama-cpp`)
  await expect.poll(() => isIsolated(page)).toBe(true)
  await ask(page, 'Tell me a story about a dragon.')
  await expect(answers(page).first()).toHaveText(/\w+ \w+ \w+ \w+/)
  await expect(device(page)).toHaveText(/[2-9] threads/)
  expect(countedLoads()).toBe(2)
  // The next visit.
  await page.goto(locateServerDemo(host, answering))
  await expect(state(page, 'ready')).toBeVisible()
  expect(await isIsolated(page)).toBe(true)
  expect(countedLoads()).toBe(3)
})

test('a user who has started typing is not interrupted by a reload, and gets threads on the next visit', async ({
  page,
  host,
  answering,
}) => {
  await page.addInitScript(() => {
    // Delays the service worker until the user types.
    const { serviceWorker } = navigator
    const register = serviceWorker.register.bind(serviceWorker)
    const typing = new Promise((resolve) => addEventListener('keydown', resolve, { once: true }))
    serviceWorker.register = async (...address) => {
      if (sessionStorage.getItem('visited') === null) await typing
      sessionStorage.setItem('visited', '1')
      return register(...address)
    }
  })
  const countedLoads = countLoads(page)
  await page.goto(locateServerDemo(host, answering))
  await ask(page, 'Tell me a story about a dragon.')
  await waitForControl(page)
  await expect(answers(page).first()).toHaveText('Once upon a time')
  await expect(state(page, 'ready')).toBeVisible()
  expect(await isIsolated(page)).toBe(false)
  expect(countedLoads()).toBe(1)
  await page.reload()
  await expect.poll(() => isIsolated(page)).toBe(true)
})

test('with isolation headers from the host the page does not reload, and keeps the host’s policy', async ({
  page,
  host,
  answering,
}) => {
  host.headers = isolatingHeaders
  const countedLoads = countLoads(page)
  await page.goto(locateServerDemo(host, answering))
  await expect(state(page, 'ready')).toBeVisible()
  await waitForControl(page)
  expect(await isIsolated(page)).toBe(true)
  expect(countedLoads()).toBe(1)
  const reloaded = await page.reload()
  expect(reloaded?.headers()['cross-origin-embedder-policy']).toBe('require-corp')
})

test('a page that cannot be isolated reloads only once', async ({ page, host, answering }) => {
  host.headers = { 'cross-origin-embedder-policy': 'unsafe-none' }
  const countedLoads = countLoads(page)
  await page.goto(locateServerDemo(host, answering))
  await expect.poll(countedLoads).toBe(2)
  await expect(state(page, 'ready')).toBeVisible()
  await waitForControl(page)
  await ask(page, 'Tell me a story about a dragon.')
  await expect(answers(page).first()).toHaveText('Once upon a time')
  expect(countedLoads()).toBe(2)
})

test('a page isolated by its service worker can use servers and models of other origins', async ({
  page,
  host,
  answering,
}) => {
  const models = await startFaultServer({ 'stories.gguf': readFileSync('demo/public/models/stories.gguf') })
  try {
    await page.goto(locateServerDemo(host, answering))
    await expect.poll(() => isIsolated(page)).toBe(true)
    await ask(page, 'Tell me a story.')
    await expect(answers(page).first()).toHaveText('Once upon a time')
    await page.goto(`${host.url}?device=wasm&model=${encodeURIComponent(`${models.url}stories.gguf`)}`)
    await ask(page, 'Tell me a story about a dragon.')
    await expect(answers(page).first()).toHaveText(/\w+ \w+ \w+ \w+/)
    expect(await isIsolated(page)).toBe(true)
  } finally {
    await models.close()
  }
})

test('a new build replaces the cached files of the previous one', async ({
  page,
  context,
  host,
  answering,
}) => {
  const next = mkdtempSync(join(tmpdir(), 'rivulet-'))
  try {
    cpSync(built, next, { recursive: true })
    const worker = join(next, 'service-worker.js')
    writeFileSync(worker, readFileSync(worker, 'utf8').replace(/"version":"\w+"/, '"version":"another"'))
    const html = join(next, 'index.html')
    writeFileSync(html, readFileSync(html, 'utf8').replace(/<title>.*<\/title>/, '<title>Another</title>'))
    host.headers = isolatingHeaders
    const script = /index-[^/]*\.js$/
    await page.goto(`${host.url}?device=wasm`)
    await expect(state(page, 'ready')).toBeVisible()
    await waitForControl(page)
    host.folder = next
    await page.goto(locateServerDemo(host, answering))
    await expect(page).toHaveTitle('Another')
    // The new service worker waits until no page of the old one is open.
    await expect
      .poll(() =>
        page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.waiting !== null),
      )
      .toBe(true)
    await page.close()
    const later = await context.newPage()
    // A page that opens before the old page is completely closed still gets the old service worker.
    await expect
      .poll(async () => {
        await later.goto('about:blank')
        await later.goto(`${host.url}icon.svg`)
        return later.evaluate(async () => (await caches.keys()).join())
      })
      .toMatch(/^[^,]* another$/)
    const cached = await listCached(later)
    expect(cached.some((path) => script.test(path))).toBe(true)
    // The library keeps the runtimes.
    expect(cached.filter((path) => path.endsWith('.wasm'))).toEqual([])
    await context.setOffline(true)
    await later.goto(`${host.url}?device=wasm`)
    await expect(later).toHaveTitle('Another')
    await expect(state(later, 'ready')).toBeVisible()
  } finally {
    rmSync(next, { recursive: true, force: true })
  }
})
