// The script that comes with the first engine: when it is fetched, and what becomes of an engine without it.
import { expect, test, type Page } from '@playwright/test'
import { loadEngine, openBarePage, streamAnswer, type SeenError } from './bare-page.js'

const engineScript = /\/engine-script-[^/]+\.js$/

/** The scripts that a page and its workers ask for from now on. */
function collectScripts(page: Page): readonly string[] {
  const scripts: string[] = []
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname.endsWith('.js')) scripts.push(pathname)
  })
  return scripts
}

/** Holds the script back. @returns lets it through */
async function holdScript(page: Page): Promise<() => void> {
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  await page.route(engineScript, async (route) => {
    await released
    await route.continue()
  })
  return release
}

/** Begins to load an engine, and keeps how that ended under `window.loading`. */
const beginLoad = (page: Page) =>
  page.evaluate(() => {
    const { createEngine, onnx } = window.rivulet
    const abort = new AbortController()
    const loading = createEngine({
      backend: onnx({ device: 'wasm' }),
      model: './models/stories/',
      signal: abort.signal,
    }).then(
      () => 'loaded',
      (error: Error) => error.message,
    )
    Object.assign(window, { loading, abort })
  })

const readLoad = (page: Page) =>
  page.evaluate(() => (window as unknown as { loading: Promise<string> }).loading)

/** The error that loading ends with. */
const failToLoad = (page: Page) =>
  page.evaluate(async () => {
    const { createEngine, llamaCpp, onnx } = window.rivulet
    const backend = [
      onnx({ device: 'wasm', model: './models/stories/' }),
      llamaCpp({ model: './models/stories.gguf' }),
    ]
    const error = await createEngine({ backend }).catch((reason: SeenError) => reason)
    const { code, message } = error as SeenError
    return { code, message }
  })

test('it is fetched with the first engine, beside the worker’s own, and no earlier', async ({ page }) => {
  const scripts = collectScripts(page)
  const release = await holdScript(page)
  await openBarePage(page)
  expect(scripts.filter((path) => engineScript.test(path))).toEqual([])
  const started = page.waitForEvent('worker')
  await beginLoad(page)
  await started
  expect(scripts.filter((path) => engineScript.test(path))).toHaveLength(1)
  release()
  expect(await readLoad(page)).toBe('loaded')
})

test('bad options are refused before anything is fetched', async ({ page }) => {
  await openBarePage(page)
  const scripts = collectScripts(page)
  const codes = await page.evaluate(() => {
    const { createEngine, onnx } = window.rivulet
    const bad: readonly object[] = [
      { backend: 'onnx', model: './models/stories/' },
      { backend: onnx(), model: 'no model' },
      { backend: onnx(), model: './models/stories/', download: { idleTimeoutMs: 0 } },
      { backend: onnx(), model: './models/stories/', onGeneration: true },
    ]
    return Promise.all(
      bad.map((options) =>
        createEngine(options as Parameters<typeof createEngine>[0]).then(
          () => 'loaded',
          (error: SeenError) => error.code,
        ),
      ),
    )
  })
  expect(codes).toEqual(codes.map(() => 'invalid-option'))
  expect(scripts).toEqual([])
})

for (const [why, fail] of [
  ['the network is gone', { errorCode: 'internetdisconnected' }],
  ['a deployment has removed it', { status: 404 }],
] as const) {
  test(`where ${why}, loading fails, says what to do, leaves no worker, and can be tried again`, async ({
    page,
  }) => {
    await openBarePage(page)
    await page.route(engineScript, (route) =>
      'status' in fail ? route.fulfill(fail) : route.abort(fail.errorCode),
    )
    expect(await failToLoad(page)).toEqual({
      code: 'script-failed',
      message: expect.stringMatching(/could not be loaded: .*Try again/),
    })
    await expect.poll(() => page.workers().length).toBe(0)
    await page.unroute(engineScript)
    const { result } = await streamAnswer(await loadEngine(page, 'wasm'), 'Hello!', { maxTokens: 2 })
    expect(result.text).not.toBe('')
  })
}

test('giving up while it comes ends at once, with the reason, and leaves no worker', async ({ page }) => {
  const release = await holdScript(page)
  await openBarePage(page)
  const started = page.waitForEvent('worker')
  await beginLoad(page)
  await started
  await page.evaluate(() =>
    (window as unknown as { abort: AbortController }).abort.abort(new Error('enough')),
  )
  expect(await readLoad(page)).toBe('enough')
  await expect.poll(() => page.workers().length).toBe(0)
  release()
})

test('a worker that cannot start fails the engine without waiting for it', async ({ page }) => {
  const release = await holdScript(page)
  await openBarePage(page)
  const failure = await page.evaluate(async () => {
    const { createEngine, onnx } = window.rivulet
    const worker = () => new Worker('/no-such-worker.js', { type: 'module' })
    const error = await createEngine({
      backend: onnx({ device: 'wasm', worker }),
      model: './models/stories/',
    }).catch((reason: SeenError) => reason)
    return (error as SeenError).code
  })
  expect(failure).toBe('worker-failed')
  release()
})

test('an engine that has lost its worker asks for no script that was not there', async ({ page }) => {
  await openBarePage(page)
  const scripts = collectScripts(page)
  const engine = await page.evaluateHandle(() => {
    const { createEngine, onnx } = window.rivulet
    const backend = onnx({ device: 'wasm', worker: window.createFaultyWorker })
    return createEngine({ backend, model: './models/stories/', onGeneration: () => {} })
  })
  const known = new Set(scripts)
  expect([...known].filter((path) => engineScript.test(path))).toHaveLength(1)
  const recoveries = await engine.evaluate(async (engine) => {
    const stream = engine.generate('Hello!', { maxTokens: 20 })
    const reader = stream.getReader()
    await reader.read()
    window.breakWorker('terminate')
    while (!(await reader.read()).done);
    return (await stream.result).recoveries
  })
  expect(recoveries).toBe(1)
  expect(scripts.filter((path) => !known.has(path))).toEqual([])
})
