// What must work in every browser, beside the contract of the backends (contract.spec.ts).
import { expect, type JSHandle } from '@playwright/test'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Engine, TokenChunk } from 'rivulet'
import { chooseLavapipe } from '../../scripts/lavapipe.mjs'
import { createContent, sha256, startFaultServer } from '../../workers/store/fault-server.test-support.js'
import {
  loadEngine,
  openBarePage,
  readStoryReferences,
  startServiceWorker,
  streamAnswer,
} from '../bare-page.js'
import { barePageUrl, demoUrl } from '../ports.js'
import type { BrowserName, DrivenPage } from './driver.js'
import { explainUntestable, features, type FeatureName } from './features.js'
import { test } from './test.js'

/** To look at. */
const screenshots = '.cache/screenshots'

const references = readStoryReferences()
const question = references[0]!.prompt
const greedy = { temperature: 0, maxTokens: 48 }

interface Context {
  readonly browserName: BrowserName
  /** Opens a tab. */
  readonly openPage: () => Promise<DrivenPage>
  /** Opens a tab with the bare page. */
  readonly openBare: () => Promise<DrivenPage>
  readonly namedOrigins: Set<string>
}

/** A page with a running answer. */
interface LeftPage {
  readonly reader: ReadableStreamDefaultReader<TokenChunk>
  readonly ids: number[]
  isBack: boolean
}

async function expectReference(engine: JSHandle<Engine>, prompts: number): Promise<void> {
  for (const { prompt, greedyIds } of references.slice(0, prompts)) {
    const { chunks, tokenIds, result } = await streamAnswer(engine, prompt, greedy)
    expect(tokenIds).toEqual(greedyIds.slice(0, greedy.maxTokens))
    expect(chunks.join('')).toBe(result.text)
  }
}

const checks: Readonly<Record<FeatureName, (context: Context) => Promise<void>>> = {
  async wasm({ openBare }) {
    await expectReference(await loadEngine(await openBare(), 'wasm'), references.length)
  },

  async threads({ openBare }) {
    const page = await openBare()
    const seen = await page.evaluate(
      async ({ question, greedy }) => {
        const { createEngine, onnx } = window.rivulet
        const worker = () => window.createFaultyWorker('many-processors')
        const engine = await createEngine({
          backend: onnx({ device: 'wasm', worker }),
          model: './models/stories/',
        })
        const text = await engine.generate(question, { ...greedy, maxTokens: 4 }).text()
        await engine.dispose()
        return { text, description: engine.info.deviceDescription }
      },
      { question, greedy },
    )
    expect(seen.description).toMatch(/CPU, [2-8] threads/)
    expect(seen.text).toBe('Once upon a time')
  },

  async webgpu({ browserName, openBare }) {
    const page = await openBare()
    const lavapipe = chooseLavapipe()
    if (browserName === 'firefox' && 'unavailable' in lavapipe) {
      // Then it needs a graphics card.
      const hasAdapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()))
      test.skip(!hasAdapter, lavapipe.unavailable)
    }
    const engine = await loadEngine(page, 'webgpu')
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({
      device: 'webgpu',
      execution: 'replayed',
    })
    // A software adapter needs seconds for each.
    await expectReference(engine, 1)
  },

  async llamaCpp({ openBare }) {
    const page = await openBare()
    const seen = await page.evaluate(
      async ({ question, greedy }) => {
        const { createEngine, llamaCpp, llamaCppCompat, onnx } = window.rivulet
        const reference = await createEngine({
          backend: onnx({ device: 'wasm' }),
          model: './models/stories/',
        })
        const expected = await reference.generate(question, greedy).text()
        await reference.dispose()
        const engine = await createEngine({
          backend: llamaCpp({ threads: 1, compat: llamaCppCompat }),
          model: './models/stories.gguf',
        })
        const chunks: string[] = []
        for await (const { text } of engine.generate(question, greedy)) chunks.push(text)
        const cancelled = engine.generate(question, { temperature: 0 })
        for await (const { index } of cancelled) if (index === 2) void cancelled.cancel()
        const { finishReason, text } = await cancelled.result
        const again = await engine.generate(question, greedy).text()
        await engine.dispose()
        return { expected, chunks, finishReason, text, again }
      },
      { question, greedy },
    )
    expect(seen.expected).toMatch(/^Once upon a time/)
    expect(seen.chunks.length).toBeGreaterThan(20)
    expect(seen.chunks.join('')).toBe(seen.expected)
    expect(seen.finishReason).toBe('cancelled')
    expect(seen.expected.startsWith(seen.text)).toBe(true)
    expect(seen.again).toBe(seen.expected)
  },

  async iteration({ browserName, openBare }) {
    const page = await openBare()
    const seen = await page.evaluate(
      async ({ question, greedy, isOld }) => {
        if (!isOld) window.removeStreamIteration()
        const worker = () => window.createFaultyWorker(isOld ? undefined : 'without-stream-iteration')
        const { createEngine, onnx } = window.rivulet
        const engine = await createEngine({
          backend: onnx({ device: 'wasm', worker }),
          model: './models/stories/',
        })
        const stream = engine.generate(question, greedy)
        const ids: number[] = []
        for await (const { tokenIds } of stream) ids.push(...tokenIds)
        const { port1 } = new MessageChannel()
        const plain = new ReadableStream()
        let canTransfer = true
        try {
          port1.postMessage(plain, [plain as unknown as Transferable])
        } catch {
          canTransfer = false
        }
        return { ids, canTransfer, canIterate: Symbol.asyncIterator in plain }
      },
      { question, greedy, isOld: browserName === 'webkit' },
    )
    expect(seen).toEqual({
      ids: references[0]!.greedyIds.slice(0, greedy.maxTokens),
      canIterate: false,
      canTransfer: false,
    })
  },

  async store({ openBare, namedOrigins }) {
    const server = await startFaultServer()
    namedOrigins.add(new URL(server.url).origin)
    try {
      for (const path of [
        'config.json',
        'generation_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'onnx/model_quantized.onnx',
      ])
        server.files.set(path, { bytes: readFileSync(`demo/public/models/stories/${path}`), faults: [] })
      const list = (page: DrivenPage) =>
        page.evaluate(
          async (url) => (await window.rivulet.store.list()).filter(({ model }) => model === url),
          server.url,
        )
      const load = async () => {
        const page = await openBare()
        const engine = await loadEngine(page, 'wasm', server.url)
        const { tokenIds } = await streamAnswer(engine, question, { ...greedy, maxTokens: 4 })
        expect(tokenIds).toEqual(references[0]!.greedyIds.slice(0, 4))
        await engine.evaluate((engine) => engine.dispose())
        return list(page)
      }
      expect(await load()).toMatchObject([{ isComplete: true }])
      const sentBytes = server.sentBytes
      expect(sentBytes).toBeGreaterThan(1_000_000)
      await load()
      expect(server.sentBytes - sentBytes).toBe(0)
      const page = await openBare()
      expect(await page.evaluate((url) => window.rivulet.store.remove(url), server.url)).toBe(true)
      expect(await list(page)).toEqual([])
    } finally {
      await server.close()
    }
  },

  async resume({ openBare, namedOrigins }) {
    const content = createContent(12 * 2 ** 20)
    const server = await startFaultServer({ 'weights.bin': content })
    namedOrigins.add(new URL(server.url).origin)
    const file = { url: server.url, path: 'weights.bin' }
    try {
      server.bytesPerSecond = 12 * 2 ** 20
      const first = await openBare()
      await first.evaluate((file) => void window.storeFile(file), file)
      while (server.sentBytes < 8 * 2 ** 20) await new Promise((resolve) => setTimeout(resolve, 5))
      await first.close()
      const next = await openBare()
      server.bytesPerSecond = Infinity
      const { length } = server.requests
      const { answer } = await next.evaluate((file) => window.storeFile(file), file)
      expect(answer).toEqual({ kind: 'stored', sizeBytes: content.length, sha256: sha256(content) })
      // The server may still send to the closed tab, and bytes on the way to it are lost. So what the next tab asks for counts.
      const again = server.requests.slice(length).filter(({ method }) => method === 'GET')
      const keptBytes = Number(/^bytes=(\d+)-/.exec(again[0]?.range ?? '')?.[1])
      expect(keptBytes).toBeGreaterThan(2 ** 20)
      expect(again.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(content.length - keptBytes)
    } finally {
      await server.close()
    }
  },

  async route({ openBare }) {
    const page = await openBare()
    await startServiceWorker(page)
    const seen = await page.evaluate(async (question) => {
      const { createEngine, onnx, serveOpenai } = window.rivulet
      const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
      const ends: Promise<string>[] = []
      const watched = Object.create(engine) as { generate: Engine['generate'] } & Engine
      watched.generate = (...request) => {
        const stream = engine.generate(...request)
        // Read after the route has started to read the stream, so that only the route reads it.
        ends.push(
          new Promise((resolve) => setTimeout(resolve))
            .then(() => stream.result)
            .then(({ finishReason }) => finishReason),
        )
        return stream
      }
      const serving = await serveOpenai(watched)

      const messages = [{ role: 'user', content: question }]
      const send = (from: { fetch: typeof fetch }, more: RequestInit = {}, options: object = {}) =>
        from.fetch('/v1/chat/completions', {
          ...more,
          method: 'POST',
          body: JSON.stringify({ model: 'local', messages, stream: true, ...options }),
        })
      const readSome = async (response: Response) => {
        const reader = response.body!.getReader()
        for (let read = 0; read < 3; read += 1) await reader.read()
        return reader
      }
      const abort = new AbortController()
      await readSome(await send(window, { signal: abort.signal }))
      abort.abort()
      const reasons = [await ends[0]]
      await (await readSome(await send(window))).cancel()
      reasons.push(await ends[1])
      const frame = document.createElement('iframe')
      frame.src = './?frame'
      document.body.append(frame)
      await new Promise((resolve) => (frame.onload = resolve))
      await readSome(await send(frame.contentWindow as Window & typeof globalThis))
      frame.remove()
      reasons.push(await ends[2])
      // The service worker still runs, and answers whole.
      const text = await (await send(window, {}, { temperature: 0, max_tokens: 4 })).text()
      const direct = await engine.generate(question, { temperature: 0, maxTokens: 4 }).text()
      serving.stop()
      return { reasons, text, direct }
    }, question)
    expect(seen.reasons).toEqual(['cancelled', 'cancelled', 'cancelled'])
    const events = seen.text.split('\n\n').filter((event) => event.startsWith('data: {'))
    const deltas = events.map((event) => JSON.parse(event.slice('data: '.length)).choices[0].delta.content)
    expect(deltas.join('')).toBe(seen.direct)
    expect(seen.text.endsWith('data: [DONE]\n\n')).toBe(true)
  },

  async serviceWorker({ openBare }) {
    const page = await openBare()
    await startServiceWorker(page)
    const answers = await page.evaluate(
      async ({ question, greedy }) => {
        const { createEngine, onnx } = window.rivulet
        const answers: string[] = []
        // Without `worker`, so that both have the same script.
        for (const maxTokens of [4, 4]) {
          const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
          answers.push(await engine.generate(question, { ...greedy, maxTokens }).text())
          await engine.dispose()
        }
        return answers
      },
      { question, greedy },
    )
    expect(answers).toEqual(['Once upon a time', 'Once upon a time'])
  },

  async background({ browserName, openPage, openBare }) {
    const page = await openBare()
    const engine = await loadEngine(page, 'wasm')
    const answering = streamAnswer(engine, question, greedy)
    const front = await openPage()
    await front.goto('about:blank')
    // Playwright shows all of Chromium's pages as visible.
    if (browserName !== 'chromium') expect(await page.evaluate(() => document.visibilityState)).toBe('hidden')
    const { tokenIds } = await answering
    expect(tokenIds).toEqual(references[0]!.greedyIds.slice(0, greedy.maxTokens))
  },

  async return({ openBare }) {
    const page = await openBare()
    await page.evaluate(
      async ({ question, greedy }) => {
        const { createEngine, onnx } = window.rivulet
        const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
        const stream = engine.generate(question, greedy)
        const reader = stream.getReader()
        const { value } = await reader.read()
        const left: LeftPage = { reader, ids: [...value!.tokenIds], isBack: false }
        Object.assign(window, { left })
        addEventListener('pageshow', () => (left.isBack = true))
      },
      { question, greedy },
    )
    await page.goto(`${barePageUrl}react.html`)
    await page.goBack()
    await page.waitForFunction(() => {
      const { rivulet, left } = window as Window & { left?: LeftPage }
      return rivulet !== undefined && left?.isBack !== false
    })
    const expected = references[0]!.greedyIds.slice(0, greedy.maxTokens)
    // Browsers that keep pages show the same one again, with its engine and its answer. The others load it again.
    const continued = await page.evaluate(async () => {
      const { left } = window as Window & { left?: LeftPage }
      if (!left) return undefined
      for (let next = await left.reader.read(); !next.done; next = await left.reader.read())
        left.ids.push(...next.value.tokenIds)
      return left.ids
    })
    console.log(continued ? 'The browser kept the page.' : 'The browser loaded the page again.')
    if (continued) expect(continued).toEqual(expected)
    const { tokenIds } = await streamAnswer(await loadEngine(page, 'wasm'), question, greedy)
    expect(tokenIds).toEqual(expected)
  },

  async demo({ browserName, openPage }) {
    const page = await openPage()
    await page.goto(`${demoUrl}?device=wasm`)
    await page.waitForFunction(() => document.querySelector('main[data-state=ready]'))
    const measure = () => page.evaluate(() => document.querySelector('#prompt')!.clientHeight)
    const oneLine = await measure()
    await page.type('#prompt', 'Tell me a story ')
    await page.evaluate(() => {
      const field = document.querySelector<HTMLTextAreaElement>('#prompt')!
      field.setRangeText('about a dragon.\n\nIt is a kind dragon.\n', 0, 0, 'end')
      field.dispatchEvent(new InputEvent('input', { bubbles: true }))
    })
    const fourLines = await measure()
    await page.type('#prompt', '\n')
    await page.waitForFunction(() =>
      /\w+ \w+ \w+ \w+/.test(document.querySelector('[data-testid=answer]')?.textContent ?? ''),
    )
    expect(await measure()).toBe(oneLine)
    expect(oneLine).toBeLessThan(48)
    expect(fourLines).toBeGreaterThan(oneLine + 40)
    await page.waitForFunction(() => document.querySelector('main[data-state=ready]'))
    mkdirSync(screenshots, { recursive: true })
    await page.screenshot({ path: join(screenshots, `${browserName}.png`) })
  },
}

for (const [name, feature] of Object.entries(features)) {
  test(feature.name.replaceAll('`', ''), async ({ drivenBrowser, openPage, namedOrigins }) => {
    const untestable = explainUntestable(name as FeatureName, drivenBrowser)
    test.skip(untestable !== undefined, untestable)
    const openBare = async () => openBarePage(await openPage())
    await checks[name as FeatureName]({ browserName: drivenBrowser, openPage, openBare, namedOrigins })
  })
}

test('the proxy sees requests to other hosts, from pages and from workers', async ({
  openPage,
  loggingProxy,
}) => {
  const page = await openBarePage(await openPage())
  const hosts = ['http://page.invalid', 'http://worker.invalid']
  await page.evaluate(async ([fromPage, fromWorker]) => {
    await fetch(fromPage!).catch(() => {})
    const script = `fetch('${fromWorker}').catch(() => {}).then(() => postMessage('sent'))`
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })))
    await new Promise((resolve) => (worker.onmessage = resolve))
  }, hosts)
  for (const host of hosts) expect([...loggingProxy.origins]).toContain(host)
  // The fixture `onlyNamedOrigins` fails the test for the rest.
  for (const host of hosts) loggingProxy.origins.delete(host)
})

test('a function that runs in a page fails when the page is left', async ({ drivenBrowser, openPage }) => {
  test.skip(drivenBrowser !== 'webkit', 'It tests WebDriverPage, which drives only WebKit.')
  const page = await openPage()
  await page.goto(barePageUrl)
  await page.goto(`${barePageUrl}react.html`)
  const running = page.evaluate(() => {
    setTimeout(() => history.back(), 20)
    return new Promise(() => {})
  })
  await expect(running).rejects.toThrow('The page was left.')
  await page.waitForFunction(() => 'rivulet' in window)
})
