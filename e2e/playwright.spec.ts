// rivulet/playwright: what it reports of a page's streams, and that each of its assertions can fail.
import { readFileSync } from 'node:fs'
import { chromium, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions } from 'rivulet'
import { expect, observeEngines, test, webGpuLaunchOptions } from 'rivulet/playwright'
import { findChromium } from '../scripts/chromium.mjs'
import { loadBrokenModel, loadEngine, openBarePage } from './bare-page.js'
import { barePageUrl } from './ports.js'

const question = 'Tell me a story about a dragon.'
const greedy = { temperature: 0, maxTokens: 5 } satisfies GenerateOptions

/** Makes the page read an answer, chunk by chunk. */
function read(engine: JSHandle<Engine>, options: Omit<GenerateOptions, 'signal'> = greedy): Promise<string> {
  return engine.evaluate((engine, { question, options }) => engine.generate(question, options).text(), {
    question,
    options,
  })
}

/** The error of an assertion or a call, as text. */
const failureOf = (promise: Promise<unknown>) => promise.then(() => 'held', String)

test.describe('the embedded model', () => {
  test.use({ baseURL: barePageUrl })

  const load = (page: Page, model: string, runtime: 'onnx' | 'llamaCpp') =>
    page.evaluate(
      async ({ model, runtime }) => {
        const { createEngine, onnx, llamaCpp } = window.rivulet
        const backend = runtime === 'onnx' ? onnx({ device: 'wasm' }) : llamaCpp()
        const engine = await createEngine({ backend, model })
        const { text } = await engine.generate('Hello!', { temperature: 0, maxTokens: 2 }).result
        return { model: engine.info.model, dtype: engine.info.dtype, text }
      },
      { model, runtime },
    )

  test('is served for any model of a hub, on both runtimes, also from the store', async ({
    page,
    rivulet,
  }) => {
    await rivulet.serveStories()
    await openBarePage(page)
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
    for (const _ of ['fetched', 'stored']) {
      expect(await load(page, 'owner/name', 'onnx')).toMatchObject({
        model: 'https://huggingface.co/owner/name/resolve/main/',
        dtype: 'q8',
        text: expect.stringMatching(/\w/),
      })
      expect(await load(page, 'owner/other', 'llamaCpp')).toMatchObject({ dtype: 'Q8_0' })
    }
  })

  test('is served for one folder or file, and for nothing else', async ({ page, rivulet }) => {
    await rivulet.serveStories('/no/such/folder/')
    await rivulet.serveStories(`${barePageUrl}other/file.gguf`)
    await openBarePage(page)
    for (const _ of ['fetched', 'stored']) {
      expect((await load(page, '/no/such/folder/', 'onnx')).model).toBe(`${barePageUrl}no/such/folder/`)
      expect((await load(page, '/other/file.gguf', 'llamaCpp')).dtype).toBe('Q8_0')
    }
    for (const model of ['/no/such/', '/other/', '/other/folder/']) {
      expect(await loadBrokenModel(page, model)).toMatchObject({ code: 'model-not-found' })
    }
    expect(await failureOf(load(page, '/other/other.gguf', 'llamaCpp'))).toContain('other.gguf')
  })
})

test.describe('waiting for an engine', () => {
  test('returns the info of the engine, and waits again after a navigation', async ({ page, rivulet }) => {
    await openBarePage(page)
    await loadEngine(page, 'wasm')
    expect(await rivulet.waitForEngine()).toMatchObject({ backend: 'onnx', device: 'wasm' })
    expect(await rivulet.waitForEngine({ timeout: 0 })).toMatchObject({ backend: 'onnx' })
    await openBarePage(page)
    expect(await failureOf(rivulet.waitForEngine({ timeout: 100 }))).toMatch(
      /No page loaded a rivulet engine/,
    )
  })

  test('returns the info of an engine in a frame, while the frame exists', async ({ page, rivulet }) => {
    await openBarePage(page)
    await page.evaluate(
      (url) => document.body.append(Object.assign(document.createElement('iframe'), { src: url })),
      barePageUrl,
    )
    const frame = page.frameLocator('iframe').locator('html')
    await expect.poll(() => frame.evaluate(() => 'rivulet' in window)).toBe(true)
    await frame.evaluate(async () => {
      const { createEngine, onnx } = window.rivulet
      await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
    })
    expect(await rivulet.waitForEngine()).toMatchObject({ backend: 'onnx' })
    await page.evaluate(() => document.querySelector('iframe')?.remove())
    expect(await failureOf(rivulet.waitForEngine({ timeout: 100 }))).toMatch(
      /No page loaded a rivulet engine/,
    )
  })

  test('rejects with the error of a failed load, but not if the page aborted the load', async ({
    page,
    rivulet,
  }) => {
    await openBarePage(page)
    await page.evaluate(async () => {
      const { createEngine, onnx } = window.rivulet
      const signal = AbortSignal.abort(new Error('mounted twice'))
      await createEngine({ backend: onnx(), model: './models/stories/', signal }).catch(() => {})
    })
    expect(await failureOf(rivulet.waitForEngine({ timeout: 100 }))).toMatch(
      /No page loaded a rivulet engine/,
    )
    await loadBrokenModel(page, './models/none/')
    await expect(rivulet.waitForEngine()).rejects.toMatchObject({ code: 'model-not-found' })
  })
})

test.describe('a stream', () => {
  let engine: JSHandle<Engine>
  // Does not use the fixture, which observes the page all the same.
  test.beforeEach(async ({ page }) => {
    await openBarePage(page)
    engine = await loadEngine(page, 'wasm')
  })

  test('is reported as the page read it, with its latency', async ({ rivulet }) => {
    const stream = rivulet.nextStream()
    expect(stream).toMatchObject({ state: { kind: 'waiting' }, text: '', chunks: [] })
    const text = await read(engine)
    const result = await stream.result
    expect(stream.text).toBe(text)
    expect(stream.state).toEqual({ kind: 'ended', result })
    expect(stream.chunks.map((chunk) => chunk.text)).toEqual(['Once', ' upon', ' a', ' time', ','])
    const times = stream.chunks.map(({ arrivedMs }) => arrivedMs)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    // The same moments, each measured twice: on a busy machine, not at once.
    const ratio = times[0]! / result.latency.timeToFirstTokenMs!
    expect(ratio).toBeGreaterThan(0.25)
    expect(ratio).toBeLessThan(4)
    expect(result).toMatchObject({ finishReason: 'length', usage: { completionTokens: 5 } })
  })

  test('is the next one that the page starts, in order', async ({ rivulet }) => {
    await read(engine, { ...greedy, maxTokens: 1 })
    const [first, second] = [rivulet.nextStream(), rivulet.nextStream()]
    await read(engine, { ...greedy, maxTokens: 2 })
    await read(engine, { ...greedy, maxTokens: 3 })
    expect((await first.result).usage.completionTokens).toBe(2)
    expect((await second.result).usage.completionTokens).toBe(3)
  })

  test('matches while it runs, as soon as two chunks have arrived', async ({ rivulet }) => {
    const stream = rivulet.nextStream()
    await engine.evaluate(async (engine, question) => {
      const reader = engine.generate(question, { temperature: 0 }).getReader()
      await reader.read()
      await reader.read()
    }, question)
    await expect(stream).toHaveStreamed('Once')
    await expect(stream).toHaveStreamed(/^once UPON$/i)
    expect(stream.state.kind).toBe('running')
    // While a stream runs, neither assertion can pass.
    for (const assertion of [expect(stream), expect(stream).not]) {
      expect(await failureOf(assertion.toHaveStreamed('dragon', { timeout: 100 }))).toContain(
        'did not match or end within 100 ms',
      )
    }
    expect(await failureOf(expect(stream).not.toHaveStreamed('Once'))).toContain('The stream matches.')
  })

  test('that ends without a match fails the assertion, and passes its opposite', async ({ rivulet }) => {
    const stream = rivulet.nextStream()
    await read(engine)
    const failure = await failureOf(expect(stream).toHaveStreamed(/princess/))
    expect(failure).toContain('The stream ended without a match.')
    expect(failure).toContain('"Once upon a time,"')
    await expect(stream).not.toHaveStreamed(/princess/)
    expect(await failureOf(expect(stream).not.toHaveStreamed(/time,$/))).toContain('The stream matches.')
  })

  test('that the page reads as a whole was not streamed', async ({ rivulet }) => {
    const stream = rivulet.nextStream()
    await engine.evaluate((engine, { question, greedy }) => engine.generate(question, greedy).result, {
      question,
      greedy,
    })
    expect(await failureOf(expect(stream).toHaveStreamed('Once upon'))).toContain('was not streamed')
    expect((await stream.result).text).toBe('Once upon a time,')
  })

  test('that fails or never starts fails both assertions', async ({ rivulet }) => {
    const stream = rivulet.nextStream()
    await engine.evaluate((engine) =>
      engine
        .generate('long '.repeat(1000))
        .text()
        .catch(() => {}),
    )
    await expect(stream.result).rejects.toMatchObject({ code: 'prompt-too-long' })
    const unstarted = rivulet.nextStream()
    for (const [observed, why] of [
      [stream, 'The generation failed:'],
      [unstarted, 'The page started no stream within 100 ms'],
    ] as const) {
      for (const assertion of [expect(observed), expect(observed).not]) {
        expect(await failureOf(assertion.toHaveStreamed('Once', { timeout: 100 }))).toContain(why)
      }
    }
  })

  test('is annotated with its budget, and never fails for it', async ({ rivulet }, testInfo) => {
    const stream = rivulet.nextStream()
    await read(engine)
    for (const timeToFirstTokenBudgetMs of [0, 1e9]) {
      await expect(stream).toHaveStreamed('Once', { timeToFirstTokenBudgetMs })
    }
    const silent = expect(rivulet.nextStream())
    await failureOf(silent.toHaveStreamed('Once', { timeToFirstTokenBudgetMs: 5, timeout: 0 }))
    expect(testInfo.annotations.map(({ type, description }) => [type, description])).toEqual([
      ['time to first token', expect.stringMatching(/^\d+ ms, over the budget of 0 ms$/)],
      ['time to first token', expect.stringMatching(/^\d+ ms, within the budget of 1000000000 ms$/)],
      ['time to first token', 'no token arrived'],
    ])
  })
})

test('unknown options and values are refused by name', async ({ rivulet, browser }) => {
  const context = await browser.newContext()
  const baseless = await observeEngines(context)
  const stream = rivulet.nextStream()
  const refusals: readonly [Promise<unknown>, string][] = [
    [rivulet.waitForEngine({ timeuot: 1 } as object), '"timeuot"'],
    [rivulet.waitForEngine({ timeout: '1 s' as unknown as number }), '"timeout"'],
    [observeEngines(context, { baseUrl: '/' } as object), '"baseUrl"'],
    [baseless.serveStories('./relative/'), '"baseURL"'],
    [rivulet.serveStories('no model'), '"no model" is not a model'],
    [expect(stream).toHaveStreamed('a', { minimum: 2 } as object), '"minimum"'],
    [expect(stream).toHaveStreamed('a', { timeToFirstTokenBudgetMs: -1 }), '"timeToFirstTokenBudgetMs"'],
    [expect(stream).toHaveStreamed(1 as unknown as string), 'a string, a regular expression'],
    [expect('text' as unknown as typeof stream).toHaveStreamed('a'), 'rivulet.nextStream()'],
  ]
  for (const [refused, name] of refusals) expect(await failureOf(refused)).toContain(name)
  await context.close()
})

test('the guide shows the test and the configuration in this folder', () => {
  const guide = readFileSync('docs/guides/testing.md', 'utf8')
  const examples = [...guide.matchAll(/```ts no-run\n(.*?)```/gs)].map(([, code]) => code)
  const files = ['testing-guide.config.ts', 'testing-guide.spec.ts']
  expect(examples).toEqual(files.map((name) => readFileSync(`e2e/${name}`, 'utf8')))
})

test('the launch options give a page WebGPU', async () => {
  const executablePath = findChromium()
  const browser = await chromium.launch({
    ...webGpuLaunchOptions(),
    ...(executablePath && { executablePath }),
  })
  try {
    const page = await browser.newPage()
    await page.goto(barePageUrl)
    const hasDevice = await page.evaluate(async () => {
      const adapter = await navigator.gpu.requestAdapter()
      const device = await adapter?.requestDevice()
      return device instanceof GPUDevice
    })
    expect(hasDevice).toBe(true)
  } finally {
    await browser.close()
  }
})
