// Hosts of models in a real browser, on another origin: what CORS, the network stack and the console make of their answers.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, expect, test as base, type BrowserContext, type Page } from '@playwright/test'
import { startOddHost, type OddHost } from '../workers/store/odd-host.test-support.js'
import { openBarePage, type SeenError } from './bare-page.js'
import { state } from './demo-page.js'
import { barePageUrl, demoUrl } from './ports.js'
import { jspiChannel, withoutJspi, withoutMemory64 } from './page/old-browser.js'

const modelFolder = 'demo/public/models/stories'
const paths = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'onnx/model_quantized.onnx',
]
const gguf = readFileSync('demo/public/models/stories.gguf')
const story = 'Once upon a time,'

interface Fixtures {
  /** With a profile on disk, where the browser stores files as for a user. */
  readonly context: BrowserContext
  readonly page: Page
  /** Has the embedded model in `m/`. */
  readonly host: OddHost
  /** What the console shows in red: errors, and requests that fail or are answered with an error. */
  readonly redLines: string[]
}

const test = base.extend<Fixtures>({
  context: async ({ launchOptions }, use) => {
    const profile = mkdtempSync(join(tmpdir(), 'rivulet-'))
    const context = await chromium.launchPersistentContext(profile, launchOptions)
    await use(context)
    await context.close()
    rmSync(profile, { recursive: true, force: true })
  },
  page: async ({ context }, use) => use(await openBarePage(await context.newPage())),
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the fixtures from the parameter's pattern
  host: async ({}, use) => {
    const files = paths.map((path) => [`m/${path}`, readFileSync(join(modelFolder, path))] as const)
    const config = JSON.parse(readFileSync(join(modelFolder, 'config.json'), 'utf8')) as object
    // Without the recommended variant, each one is requested until one exists.
    const plain = Buffer.from(JSON.stringify({ ...config, 'transformers.js_config': undefined }))
    const host = await startOddHost(
      { ...Object.fromEntries(files), 'm/config.json': plain },
      { isCrossOrigin: true },
    )
    await use(host)
    await host.close()
  },
  redLines: async ({ page }, use) => {
    await use(collectRedLines(page))
  },
})

/** Playwright passes on the console of a page, but not the lines about a worker's requests: they are read from the network. */
function collectRedLines(page: Page): string[] {
  const lines: string[] = []
  page.on('console', (message) => message.type() === 'error' && lines.push(message.text()))
  page.on('requestfailed', (request) => lines.push(`${request.url()}: ${request.failure()?.errorText}`))
  page.on(
    'response',
    (response) => response.status() >= 400 && lines.push(`${response.url()}: ${response.status()}`),
  )
  return lines
}

interface Loading {
  readonly model: string
  readonly backend?: 'onnx' | 'llama-cpp'
  readonly options?: object
  readonly download?: object
}

/** Loads a model and generates a few tokens. @returns the text, or the error */
function load(page: Page, loading: Loading) {
  return page.evaluate(async ({ model, backend = 'onnx', options = {}, download }) => {
    const { createEngine, onnx, llamaCpp } = window.rivulet
    try {
      const engine = await createEngine({
        backend:
          backend === 'onnx' ? onnx({ device: 'wasm', ...options }) : llamaCpp({ threads: 1, ...options }),
        model,
        ...(download && { download }),
      })
      const question = 'Tell me a story about a dragon.'
      const text = await engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
      await engine.dispose()
      return { text }
    } catch (error) {
      const { name, code, message } = error as SeenError
      return { name, code, message }
    }
  }, loading)
}

const listModels = (page: Page) =>
  page.evaluate(async () => (await window.rivulet.store.list()).map(({ model }) => model))

/** Serves the model as `owner/name` of a hub. @returns the option `download` */
function serveHub(host: OddHost): { readonly hubUrl: string } {
  const tree = paths.map((path) => {
    const content = host.files.get(`m/${path}`)!
    host.files.set(`owner/name/resolve/main/${path}`, content)
    return { type: 'file', path, size: content.length, oid: path }
  })
  host.files.set('api/models/owner/name/tree/main', Buffer.from(JSON.stringify(tree)))
  return { hubUrl: host.url }
}

test.describe('a healthy first load leaves the console clean', () => {
  test('from a hub', async ({ page, host, redLines }) => {
    expect(await load(page, { model: 'owner/name', download: serveHub(host) })).toEqual({ text: story })
    expect(redLines).toEqual([])
  })

  test('from a folder with a list of its files', async ({ page, host, redLines }) => {
    host.files.set('m/files.json', Buffer.from(JSON.stringify(paths)))
    expect(await load(page, { model: `${host.url}m/files.json` })).toEqual({ text: story })
    expect(redLines).toEqual([])
    expect(await listModels(page)).toEqual([`${host.url}m/`])
  })

  test('from a folder whose variant the app names', async ({ page, host, redLines }) => {
    expect(await load(page, { model: `${host.url}m/`, options: { dtype: 'q8' } })).toEqual({ text: story })
    const modelFile = 'onnx/model_quantized.onnx'
    expect(await load(page, { model: `${host.url}m/`, options: { modelFile } })).toEqual({ text: story })
    expect(redLines).toEqual([])
  })

  test('from a folder whose config.json recommends a variant', async ({ page, redLines }) => {
    expect(await load(page, { model: './models/stories/' })).toEqual({ text: story })
    expect(redLines).toEqual([])
  })

  test('of the demo', async ({ page }) => {
    const lines = collectRedLines(page)
    await page.goto(demoUrl)
    await expect(state(page, 'ready')).toBeVisible()
    expect(lines).toEqual([])
  })
})

test.describe('a folder loads once if its host answers for a missing file', () => {
  for (const [name, missing] of [
    ['with status 403', { status: 403 }],
    ['with status 400', { status: 400 }],
    ['with a web page', 'page'],
    ['without CORS headers', 'no CORS'],
  ] as const) {
    test(name, async ({ page, host, redLines }) => {
      host.missing = missing
      const model = `${host.url}m/`
      expect(await load(page, { model })).toEqual({ text: story })
      // Proves that the console's red lines would be seen.
      if (missing !== 'page') expect(redLines.length).toBeGreaterThan(0)
      expect(await load(page, { model })).toEqual({ text: story })
      for (const path of paths) {
        expect(host.requests.filter((request) => request === `GET m/${path}`)).toHaveLength(1)
      }
    })
  }
})

for (const isChunked of [false, true]) {
  const length = isChunked ? 'without lengths' : 'with lengths'
  test(`files that are stored compressed load, and are downloaded once, ${length}`, async ({
    page,
    host,
  }) => {
    Object.assign(host, { isStoredCompressed: true, isChunked })
    const model = `${host.url}m/`
    expect(await load(page, { model, options: { dtype: 'q8' } })).toEqual({ text: story })
    const small = paths.filter((path) => path.endsWith('.json'))
    for (const path of small) {
      expect(host.requests.filter((request) => request === `GET m/${path}`)).toHaveLength(1)
    }
    host.forget()
    expect(await load(page, { model, options: { dtype: 'q8' } })).toEqual({ text: story })
    const sent = [...host.sentBytes.keys()]
    // Without a length, nobody knows whether weights are complete: they are used once.
    expect(sent).toEqual(isChunked ? ['m/onnx/model_quantized.onnx'] : [])
  })
}

test('three signatures of one GGUF file download it once, and removing it leaves the other file', async ({
  page,
  host,
}) => {
  host.files.set('m/a.gguf', gguf).set('m/b.gguf', gguf)
  for (const signature of ['?s=1', '?s=2', '?s=3']) {
    host.signature = signature
    const { text } = await load(page, { model: `${host.url}m/a.gguf${signature}`, backend: 'llama-cpp' })
    expect(text).toBeTruthy()
  }
  expect(host.sentBytes.get('m/a.gguf')! - gguf.length).toBeLessThanOrEqual(2)
  host.signature = undefined
  expect((await load(page, { model: `${host.url}m/b.gguf`, backend: 'llama-cpp' })).text).toBeTruthy()
  expect((await load(page, { model: `${host.url}m/` })).text).toBe(story)
  const all = [`${host.url}m/a.gguf`, `${host.url}m/b.gguf`, `${host.url}m/`]
  expect((await listModels(page)).toSorted()).toEqual(all.toSorted())

  const remove = (model: string) => page.evaluate((model) => window.rivulet.store.remove(model), model)
  expect(await remove(`${all[0]}?s=4`)).toBe(true)
  expect(await remove(all[0]!)).toBe(false)
  expect((await listModels(page)).toSorted()).toEqual(all.slice(1).toSorted())
  host.forget()
  expect((await load(page, { model: all[1]!, backend: 'llama-cpp' })).text).toBeTruthy()
  expect(host.sentBytes.size).toBe(0)

  // The file that was used last stays.
  const evicted = await page.evaluate((keepBytes) => window.rivulet.store.evict({ keepBytes }), gguf.length)
  expect(evicted).toMatchObject([{ model: all[2] }])
  expect(await listModels(page)).toEqual([all[1]])
  // The folder's name stands for everything in it.
  expect(await remove(`${host.url}m/`)).toBe(true)
  expect(await listModels(page)).toEqual([])
})

test('a GGUF file under another name is recognized by its first bytes', async ({ page, host }) => {
  host.files.set('blobs/sha256-1', gguf)
  const model = `${host.url}blobs/sha256-1`
  expect((await load(page, { model, backend: 'llama-cpp' })).text).toBeTruthy()
  expect(await listModels(page)).toEqual([model])
  const texts = await page.evaluate(async (url) => {
    const { createEngine, llamaCpp, onnx } = window.rivulet
    const bytes = await (await fetch(url)).arrayBuffer()
    const file = new File([bytes], 'weights.bin')
    const engine = await createEngine({ backend: llamaCpp({ threads: 1 }), model: file })
    const text = await engine.generate('Hi', { temperature: 0, maxTokens: 3 }).text()
    await engine.dispose()
    const refused = await createEngine({ backend: onnx(), model: file }).catch(
      (error: SeenError) => error.message,
    )
    return { text, refused, removed: await window.rivulet.store.remove(url) }
  }, model)
  expect(texts).toEqual({
    text: expect.stringMatching(/\S/),
    refused: expect.stringContaining('Use llamaCpp()'),
    removed: true,
  })
})

test("an input's FileList is a model", async ({ page }) => {
  await page.evaluate(() => {
    document.body.append(Object.assign(document.createElement('input'), { type: 'file', multiple: true }))
  })
  await page.setInputFiles(
    'input',
    paths.map((path) => join(modelFolder, path)),
  )
  const text = await page.evaluate(async () => {
    const { createEngine, onnx } = window.rivulet
    const model = document.querySelector('input')!.files!
    const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model })
    return engine.generate('Hi', { temperature: 0, maxTokens: 3 }).text()
  })
  expect(text).toMatch(/\S/)
})

test('a mistaken model is refused with what to write instead', async ({ page, host }) => {
  expect(await load(page, { model: `${host.url}m/a.gguf` })).toMatchObject({
    code: 'invalid-option',
    message: '"a.gguf" is a GGUF file. Use llamaCpp() for it: onnx() runs ONNX folders.',
  })
  host.missing = 'no CORS'
  const startMs = performance.now()
  expect(await load(page, { model: 'models/my-finetune', download: { hubUrl: host.url } })).toMatchObject({
    message: expect.stringContaining('For a folder on your server, write "./models/my-finetune".'),
  })
  expect(performance.now() - startMs).toBeLessThan(10_000)
})

test.describe('llamaCpp() fetches no build from elsewhere', () => {
  /** Loads the embedded model in a worker that lacks features. @returns the outcome, and the hosts of all requests */
  async function loadInOldBrowser(page: Page, lacking: string, { hasCompat = false } = {}) {
    const hosts = new Set<string>()
    page.context().on('request', (request) => {
      if (request.url().startsWith('http')) hosts.add(new URL(request.url()).host)
    })
    const outcome = await page.evaluate(
      async ({ lacking, hasCompat, jspiChannel }) => {
        const { createEngine, llamaCpp, llamaCppCompat } = window.rivulet
        const hasJspi: unknown[] = []
        const channel = new BroadcastChannel(jspiChannel)
        channel.onmessage = ({ data }) => hasJspi.push(data)
        try {
          const worker = () => window.createLlamaCppWorker(lacking)
          const engine = await createEngine({
            backend: llamaCpp({ threads: 1, worker, ...(hasCompat && { compat: llamaCppCompat }) }),
            model: './models/stories.gguf',
          })
          const text = await engine.generate('Tell me a story.', { temperature: 0, maxTokens: 20 }).text()
          const { device, warnings } = engine.info
          return { text, device, warnings, hasJspi }
        } catch (error) {
          const { code, message } = error as SeenError
          return { code, message }
        }
      },
      { lacking, hasCompat, jspiChannel },
    )
    return { outcome, hosts: [...hosts] }
  }

  test('without JSPI: it computes on the CPU', async ({ page }) => {
    const { outcome, hosts } = await loadInOldBrowser(page, withoutJspi)
    expect(outcome).toEqual({
      text: expect.stringMatching(/\S/),
      device: 'wasm',
      warnings: [],
      hasJspi: [false],
    })
    expect(hosts.every((host) => host === new URL(barePageUrl).host)).toBe(true)
  })

  test('without 64-bit memories: it is refused', async ({ page }) => {
    const { outcome, hosts } = await loadInOldBrowser(page, `${withoutJspi} ${withoutMemory64}`)
    expect(outcome).toMatchObject({ code: 'backend-unavailable', message: /64-bit addresses/ })
    expect(hosts.every((host) => host === new URL(barePageUrl).host)).toBe(true)
  })

  test('without 64-bit memories: it runs the compatibility build if the app has it, and says that it is slow', async ({
    page,
  }) => {
    const { outcome: expected } = await loadInOldBrowser(page, withoutJspi)
    const lacking = `${withoutJspi} ${withoutMemory64}`
    const { outcome, hosts } = await loadInOldBrowser(page, lacking, { hasCompat: true })
    expect(outcome).toEqual({
      ...expected,
      warnings: [expect.stringMatching(/compatibility build.*slower/)],
    })
    expect(hosts.every((host) => host === new URL(barePageUrl).host)).toBe(true)
  })

  test('a compatibility build that is missing or unreachable is reported, and nothing else is fetched', async ({
    page,
  }) => {
    const lacking = `${withoutJspi} ${withoutMemory64}`
    // First: a file that was downloaded is kept in the store.
    const wasm = /wllama-[^/]+\.wasm$/
    await page.context().route(wasm, (route) => route.abort())
    const withoutWasm = await loadInOldBrowser(page, lacking, { hasCompat: true })
    expect(withoutWasm.outcome).toMatchObject({ code: 'download-failed', message: /wllama-[^/]+\.wasm/ })
    await page.context().unroute(wasm)
    const script = /wllama-[^/]+\.js$/
    await page.context().route(script, (route) => route.fulfill({ status: 404 }))
    const missing = await loadInOldBrowser(page, lacking, { hasCompat: true })
    expect(missing.outcome).toMatchObject({ code: 'backend-unavailable', message: /answered 404/ })
    await page.context().unroute(script)
    await page.context().route(script, (route) => route.abort())
    const unreachable = await loadInOldBrowser(page, lacking, { hasCompat: true })
    expect(unreachable.outcome).toMatchObject({ code: 'download-failed' })
    for (const { hosts } of [withoutWasm, missing, unreachable]) {
      expect(hosts.every((host) => host === new URL(barePageUrl).host)).toBe(true)
    }
  })
})
