// What only llamaCpp() does. contract.spec.ts tests what every backend promises.
import { readFileSync } from 'node:fs'
import { expect, test, type Page } from '@playwright/test'
import type { LlamaCppOptions } from 'rivulet/llama-cpp'
import { openBarePage, streamAnswer, type SeenError } from './bare-page.js'
import { barePageUrl } from './ports.js'

const storiesPath = 'demo/public/models/stories.gguf'
const stories = readFileSync(storiesPath)

type PlainOptions = Omit<LlamaCppOptions, 'model' | 'worker'>

/** Beside other tests on two cores, two threads of llama.cpp mostly wait for each other. */
const oneThread: PlainOptions = { threads: 1 }

function open(page: Page, options: PlainOptions = {}, model = './models/stories.gguf') {
  return page.evaluateHandle(
    ({ options, model }) => {
      const { createEngine, llamaCpp } = window.rivulet
      return createEngine({ backend: llamaCpp(options), model })
    },
    { options: { ...oneThread, ...options }, model },
  )
}

/** @returns the error that loading ends with */
function failToOpen(page: Page, options: PlainOptions = {}, model?: string): Promise<SeenError | undefined> {
  return page.evaluate(
    async ({ options, model }) => {
      const { createEngine, llamaCpp } = window.rivulet
      try {
        await (await createEngine({ backend: llamaCpp(options), model })).dispose()
        return undefined
      } catch (error) {
        const { name, code, message, text } = error as SeenError
        return { name, code, message, text }
      }
    },
    { options: { ...oneThread, ...options }, model: model ?? './models/stories.gguf' },
  )
}

test('reports its threads: several in an isolated page, one elsewhere', async ({ page }) => {
  await openBarePage(page)
  const many = await open(page, { threads: 2 })
  expect(await many.evaluate(({ info }) => info)).toMatchObject({
    backend: 'llama-cpp',
    device: 'wasm',
    deviceDescription: 'CPU, 2 threads',
    execution: 'multi-threaded',
    dtype: 'Q8_0',
    contextLength: 512,
    supports: { inputs: ['chat', 'text'], continuation: true },
  })
  const text = (await streamAnswer(many, 'Tell me a story.', { temperature: 0, maxTokens: 20 })).result.text
  await page.route(barePageUrl, async (route) => {
    const response = await route.fetch()
    const {
      'cross-origin-opener-policy': _coop,
      'cross-origin-embedder-policy': _coep,
      ...headers
    } = response.headers()
    await route.fulfill({ response, headers })
  })
  await openBarePage(page)
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false)
  const one = await open(page, { threads: 2 })
  expect(await one.evaluate(({ info }) => info)).toMatchObject({
    deviceDescription: 'CPU, 1 thread',
    execution: 'single-threaded',
  })
  expect((await streamAnswer(one, 'Tell me a story.', { temperature: 0, maxTokens: 20 })).result.text).toBe(
    text,
  )
})

test('ends at a stop string that is a control token, and at a token of endTokens', async ({ page }) => {
  await openBarePage(page)
  const engine = await open(page)
  // The bias makes every token <|assistant|>, which does not end an answer by itself.
  const options = { temperature: 0, maxTokens: 4, logitBias: { 2: 100 } }
  const question = 'Tell me a story.'
  const running = await streamAnswer(engine, question, options)
  expect(running.result).toMatchObject({ text: '', finishReason: 'length' })
  const stopped = await streamAnswer(engine, question, { ...options, stop: '<|assistant|>' })
  expect(stopped.result).toMatchObject({ text: '', finishReason: 'stop' })
  await engine.evaluate((opened) => opened.dispose())
  const ending = await open(page, { endTokens: ['<|assistant|>'] })
  const ended = await streamAnswer(ending, question, options)
  expect(ended.result).toMatchObject({ text: '', finishReason: 'stop', usage: { completionTokens: 0 } })
  expect(await failToOpen(page, { endTokens: ['<|absent|>'] })).toMatchObject({
    code: 'invalid-option',
    message: expect.stringContaining('<|absent|>'),
  })
})

test('a software adapter is not reported as a GPU: llama.cpp would use the CPU instead', async ({ page }) => {
  await openBarePage(page)
  expect(await failToOpen(page, { device: 'webgpu' })).toMatchObject({
    code: 'backend-unavailable',
    message: expect.stringContaining('16-bit floats'),
  })
})

test('loads a file that the user chose, with the requested context length', async ({ page }) => {
  await openBarePage(page)
  await page.evaluate(() =>
    document.body.append(Object.assign(document.createElement('input'), { type: 'file' })),
  )
  await page.setInputFiles('input', storiesPath)
  const engine = await page.evaluateHandle(() => {
    const { createEngine, llamaCpp } = window.rivulet
    const files = [...document.querySelector('input')!.files!]
    return createEngine({ backend: llamaCpp({ contextLength: 250, threads: 1 }), model: files })
  })
  // llama.cpp rounds up to a multiple of 256.
  expect(await engine.evaluate(({ info }) => info)).toMatchObject({ contextLength: 256 })
  const { result } = await streamAnswer(engine, 'word '.repeat(120), { temperature: 0 })
  expect(result.usage.promptTokens + result.usage.completionTokens).toBeLessThanOrEqual(256)
})

test('reuses an earlier conversation if its cache may be kept', async ({ page }) => {
  await openBarePage(page)
  const [cat, dog] = ['a cat sat here. '.repeat(20), 'The dog ran there! '.repeat(20)]
  const cachedTokens: number[] = []
  const texts: string[] = []
  for (const conversationCacheBytes of [undefined, 0]) {
    const engine = await open(page, { conversationCacheBytes })
    for (const prompt of [cat, dog, cat]) {
      const { result } = await streamAnswer(engine, prompt, { temperature: 0, maxTokens: 4 })
      cachedTokens.push(result.usage.cachedPromptTokens)
      texts.push(result.text)
    }
    await engine.evaluate((engine) => engine.dispose())
  }
  const [, , kept, , , forgotten] = cachedTokens
  expect(kept).toBeGreaterThan(50)
  expect(forgotten).toBeLessThan(10)
  expect(texts.slice(3)).toEqual(texts.slice(0, 3))
})

test('reports how much of a long prompt is computed, and the answer stays the same', async ({ page }) => {
  await openBarePage(page)
  const seen = await page.evaluate(async () => {
    const { createEngine, llamaCpp } = window.rivulet
    const ask = async (prefills?: object[]) => {
      const engine = await createEngine({
        backend: llamaCpp({ threads: 1, conversationCacheBytes: 0 }),
        model: './models/stories.gguf',
        observer: prefills ? { onPrefill: (each) => prefills.push(each) } : {},
      })
      const stream = engine.generate('The dog ran there! '.repeat(30), { temperature: 0, maxTokens: 16 })
      const { text, usage } = await stream.result
      await engine.dispose()
      return { text, promptTokens: usage.promptTokens }
    }
    const prefills: { readonly computedTokens: number; readonly totalTokens: number }[] = []
    return { silent: await ask(), reporting: await ask(prefills), prefills }
  })
  expect(seen.reporting).toEqual(seen.silent)
  const computed = seen.prefills.map(({ computedTokens }) => computedTokens)
  // In chunks of 32 tokens on the CPU.
  expect(computed.length).toBeGreaterThan(2)
  expect(computed).toEqual(computed.toSorted((a, b) => a - b))
  for (const { computedTokens, totalTokens } of seen.prefills) {
    expect(totalTokens).toBe(seen.silent.promptTokens)
    expect(computedTokens).toBeLessThan(totalTokens)
  }
})

test('loads the file of about 4 bits, or the named one, from a folder on a hub, and later offline', async ({
  page,
}) => {
  await openBarePage(page)
  const hub = 'https://hub.example/'
  const requested: string[] = []
  let isOnline = true
  await page.context().route(`${hub}**`, async (route) => {
    const { pathname } = new URL(route.request().url())
    requested.push(pathname)
    const headers = { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*', etag: '"1"' }
    if (!isOnline) return route.abort()
    if (pathname.startsWith('/api/')) {
      const files = ['a-Q8_0.gguf', 'a-Q4_0.gguf', 'README.md']
      const json = files.map((path) => ({ type: 'file', path, size: stories.length, oid: '1' }))
      return route.fulfill({ json, headers })
    }
    return route.fulfill({ body: stories, headers, contentType: 'application/octet-stream' })
  })
  const load = (model: string) =>
    page.evaluate(
      async ({ model, hub }) => {
        const { createEngine, llamaCpp } = window.rivulet
        const engine = await createEngine({
          backend: llamaCpp({ threads: 1 }),
          model,
          download: { hubUrl: hub },
        })
        const { text } = await engine.generate('Tell me a story.', { temperature: 0, maxTokens: 4 }).result
        await engine.dispose()
        return { model: engine.info.model, text }
      },
      { model, hub },
    )
  const chosen = await load('owner/name')
  expect(chosen.model).toBe(`${hub}owner/name/resolve/main/a-Q4_0.gguf`)
  expect((await load('owner/name/a-Q8_0.gguf')).model).toBe(`${hub}owner/name/resolve/main/a-Q8_0.gguf`)
  expect(requested.filter((path) => path.endsWith('.gguf')).length).toBe(2)
  isOnline = false
  expect(await load('owner/name')).toEqual(chosen)
})

test.describe('is refused with a typed error, and the tab still works', () => {
  test.beforeEach(async ({ page }) => {
    await page.route('**/models/broken/*', (route) => {
      const name = new URL(route.request().url()).pathname.split('/').at(-1)!
      const body = damaged[name as keyof typeof damaged]
      return body
        ? route.fulfill({ body, contentType: 'application/octet-stream' })
        : route.fulfill({ status: 404 })
    })
    await openBarePage(page)
  })

  const header = stories.indexOf('general.name')
  const damaged = {
    'page.gguf': Buffer.from('<!doctype html><title>404</title>'),
    'cut.gguf': stories.subarray(0, stories.length - 100_000),
    'header.gguf': stories.subarray(0, header),
    'architecture.gguf': Buffer.from(
      stories.toString('latin1').replace('\0\0\0llama', '\0\0\0xlama'),
      'latin1',
    ),
  }

  for (const [file, code] of [
    ['page.gguf', 'model-invalid'],
    ['cut.gguf', 'model-invalid'],
    ['header.gguf', 'model-invalid'],
    ['architecture.gguf', 'model-unsupported'],
    ['missing.gguf', 'model-not-found'],
    ['missing-00001-of-00002.gguf', 'model-not-found'],
  ] as const) {
    test(file, async ({ page }) => {
      expect(await failToOpen(page, {}, `./models/broken/${file}`)).toMatchObject({
        name: 'RivuletError',
        code,
      })
      expect(await failToOpen(page)).toBeUndefined()
    })
  }

  test('a model larger than memoryBudgetBytes', async ({ page }) => {
    expect(await failToOpen(page, { memoryBudgetBytes: 1_000_000 })).toMatchObject({
      code: 'memory-exceeded',
    })
  })

  test('a missing WebAssembly file', async ({ page }) => {
    expect(await failToOpen(page, { wasmUrl: './models/missing.wasm' })).toMatchObject({
      code: 'backend-unavailable',
    })
  })
})
