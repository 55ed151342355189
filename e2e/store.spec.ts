// The model store in a real browser with a real profile, and a server with faults on request.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  chromium,
  expect,
  test as base,
  type BrowserContext,
  type CDPSession,
  type Page,
} from '@playwright/test'
import {
  createContent,
  sha256,
  startFaultServer,
  type FaultServer,
} from '../workers/store/fault-server.test-support.js'
import { loadEngine, openBarePage } from './bare-page.js'
import { watchWorkerHeaps } from './bench/browser-memory.js'
import type { StoreRequest } from './page/store.worker.js'
import { scaleCount } from './soak.js'

const modelFolder = 'demo/public/models/stories'
const modelFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'onnx/model_quantized.onnx',
]
const graphFile = 'onnx/model_quantized.onnx'
const story = 'Once upon a time,'

interface Fixtures {
  /** With a profile on disk. Without one, the browser would store files in memory. */
  readonly context: BrowserContext
  readonly page: Page
  readonly server: FaultServer
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
  server: async ({}, use) => {
    const server = await startFaultServer()
    await use(server)
    await server.close()
  },
})

function serve(server: FaultServer, files: Record<string, Uint8Array>): void {
  for (const [path, bytes] of Object.entries(files)) server.files.set(path, { bytes, faults: [] })
}

/** Serves the embedded model below `prefix`. @returns its URL */
function serveModel(server: FaultServer, prefix = 'stories/'): string {
  for (const path of modelFiles) serve(server, { [prefix + path]: readFileSync(join(modelFolder, path)) })
  return server.url + prefix
}

const storeFile = (page: Page, request: StoreRequest) =>
  page.evaluate((request) => window.storeFile(request), request)

interface Loading {
  readonly model: string
  readonly download?: object
}

/** Loads a model and generates a few tokens. @returns the text or the error, and the progress events */
function loadAndAsk(page: Page, options: Loading) {
  return page.evaluate(async (options) => {
    const { createEngine, onnx } = window.rivulet
    const progress: { phase: string; fraction: number; loadedBytes: number }[] = []
    try {
      const engine = await createEngine({
        backend: onnx({ device: 'wasm' }),
        ...options,
        onProgress: ({ phase, fraction, loadedBytes }) => progress.push({ phase, fraction, loadedBytes }),
      })
      const question = 'Tell me a story about a dragon.'
      const text = await engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
      await engine.dispose()
      return { text, progress }
    } catch (error) {
      const { code, message, details } = error as InstanceType<typeof window.rivulet.RivuletError>
      return { code, message, details, progress }
    }
  }, options)
}

/** Kills the processes of all pages, as a system that is short of memory does. */
async function killRenderers(context: BrowserContext): Promise<void> {
  const session: CDPSession = await context.browser()!.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  for (const { type, id } of processInfo) if (type === 'renderer') process.kill(id, 'SIGKILL')
}

test(
  'a download continues after its tab is killed at any byte',
  { tag: '@alone' },
  async ({ context, server }) => {
    const rounds = scaleCount(6, 200)
    test.setTimeout(60_000 + rounds * 20_000)
    const content = createContent(64 * 2 ** 20)
    const refetchedBytes: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      const path = `${round}/weights.bin`
      serve(server, { [path]: content })
      // A good connection at home. Bytes in the sockets when the tab is killed are lost: the faster, the more.
      server.bytesPerSecond = 16 * 2 ** 20
      const page = await openBarePage(await context.newPage())
      const sentBefore = server.sentBytes
      const killAt = Math.floor(((round * 0.618 + 0.31) % 1) * content.length)
      const crashed = new Promise((resolve) => page.once('crash', resolve))
      storeFile(page, { url: server.url, path }).catch(() => {})
      while (server.sentBytes - sentBefore < killAt) await new Promise((resolve) => setTimeout(resolve, 1))
      await killRenderers(context)
      await crashed
      await page.close()
      server.bytesPerSecond = Infinity
      const next = await openBarePage(await context.newPage())
      const { answer } = await storeFile(next, { url: server.url, path })
      expect(answer).toEqual({ kind: 'stored', sizeBytes: content.length, sha256: sha256(content) })
      refetchedBytes.push(server.sentBytes - sentBefore - content.length)
      await next.evaluate((url) => window.rivulet.store.remove(url), server.url)
      await next.close()
      server.files.delete(path)
    }
    console.log(`${rounds} kills: at most ${Math.max(...refetchedBytes)} bytes fetched twice`)
    expect(Math.max(...refetchedBytes)).toBeLessThanOrEqual(4 * 2 ** 20)
  },
)

test(
  'a file of any size is stored and hashed with a few megabytes of memory',
  { tag: '@alone' },
  async ({ page, server }) => {
    const content = createContent(scaleCount(128, 1024) * 2 ** 20)
    test.setTimeout(300_000)
    serve(server, { 'weights.bin': content })
    const heaps = await watchWorkerHeaps(page)
    heaps.start()
    const request = { url: server.url, path: 'weights.bin', sha256: sha256(content), isRead: false }
    const { answer } = await storeFile(page, request)
    const peakBytes = await heaps.end()
    expect(answer).toMatchObject({ kind: 'stored', sizeBytes: content.length })
    console.log(`${content.length} bytes stored: at most ${peakBytes} in the worker`)
    // Otherwise the sampler sees no heap at all.
    expect(peakBytes).toBeGreaterThan(1e6)
    expect(peakBytes).toBeLessThan(64 * 2 ** 20)
  },
)

test('two tabs download a file once between them, and both report its progress', async ({
  context,
  server,
}) => {
  const content = createContent(48 * 2 ** 20)
  serve(server, { 'weights.bin': content })
  server.bytesPerSecond = 24 * 2 ** 20
  const pages = await Promise.all([0, 1].map(async () => openBarePage(await context.newPage())))
  const stored = await Promise.all(
    pages.map((page) => storeFile(page, { url: server.url, path: 'weights.bin' })),
  )
  for (const { answer, loadedBytes } of stored) {
    expect(answer).toEqual({ kind: 'stored', sizeBytes: content.length, sha256: sha256(content) })
    expect(loadedBytes.length).toBeGreaterThan(5)
    expect(loadedBytes).toEqual(loadedBytes.toSorted((a, b) => a - b))
  }
  expect(server.sentBytes).toBe(content.length)
})

test('if the downloading tab is closed, the waiting tab continues the download', async ({
  context,
  server,
}) => {
  const content = createContent(48 * 2 ** 20)
  serve(server, { 'weights.bin': content })
  server.bytesPerSecond = 24 * 2 ** 20
  const [first, second] = await Promise.all([0, 1].map(async () => openBarePage(await context.newPage())))
  const request = { url: server.url, path: 'weights.bin' }
  storeFile(first!, request).catch(() => {})
  while (server.sentBytes < content.length / 4) await first!.waitForTimeout(10)
  const waiting = storeFile(second!, request)
  while (server.sentBytes < content.length / 2) await second!.waitForTimeout(10)
  await first!.close()
  const { answer } = await waiting
  expect(answer).toMatchObject({ kind: 'stored', sha256: sha256(content) })
  expect(server.sentBytes).toBeLessThanOrEqual(content.length + 4 * 2 ** 20)
})

test('a stored model opens offline, and online with one request per file', async ({ page, server }) => {
  const model = serveModel(server)
  const first = await loadAndAsk(page, { model })
  expect(first.text).toBe(story)
  const fractions = first.progress.map(({ fraction }) => fraction)
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
  expect(fractions.at(-1)).toBe(1)
  const phases = [...new Set(first.progress.map(({ phase }) => phase))]
  expect(phases.slice(-2)).toEqual(['load', 'warm-up'])

  const { sentBytes } = server
  server.requests.length = 0
  expect((await loadAndAsk(page, { model })).text).toBe(story)
  expect(server.sentBytes).toBe(sentBytes)
  expect(server.requests.every(({ method }) => method === 'HEAD')).toBe(true)
  const paths = server.requests.map(({ path }) => path)
  expect(new Set(paths).size).toBe(paths.length)

  server.requests.length = 0
  expect((await loadAndAsk(page, { model, download: { revalidate: false } })).text).toBe(story)
  expect(server.requests).toEqual([])

  server.isDown = true
  expect((await loadAndAsk(page, { model })).text).toBe(story)

  server.isDown = false
  server.files.clear()
  expect((await loadAndAsk(page, { model })).text).toBe(story)
})

test('if a model changes on its server, only the changed files are downloaded again', async ({
  page,
  server,
}) => {
  const model = serveModel(server)
  expect((await loadAndAsk(page, { model })).text).toBe(story)
  const config = JSON.parse(readFileSync(join(modelFolder, 'generation_config.json'), 'utf8')) as object
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, max_new_tokens: 2 }))
  serve(server, { 'stories/generation_config.json': changed })
  const { sentBytes } = server
  expect((await loadAndAsk(page, { model })).text).toBe(story)
  expect(server.sentBytes - sentBytes).toBe(changed.length)
})

test('a folder without a model is requested again the next time, also with revalidate: false', async ({
  page,
  server,
}) => {
  const model = `${server.url}stories/`
  const options = { model, download: { revalidate: false } }
  expect(await loadAndAsk(page, options)).toMatchObject({ code: 'model-not-found' })
  expect(await page.evaluate(() => window.rivulet.store.list())).toEqual([])
  serveModel(server)
  expect((await loadAndAsk(page, options)).text).toBe(story)
})

test('a hash that is pinned later is checked against the stored file', async ({ page, server }) => {
  const model = serveModel(server)
  expect((await loadAndAsk(page, { model })).text).toBe(story)
  const { sentBytes } = server
  const hash = sha256(readFileSync(join(modelFolder, graphFile)))
  expect((await loadAndAsk(page, { model, download: { sha256: { [graphFile]: hash } } })).text).toBe(story)
  expect(server.sentBytes).toBe(sentBytes)
  const other = { sha256: { [graphFile]: '0'.repeat(64) } }
  expect(await loadAndAsk(page, { model, download: other })).toMatchObject({ code: 'integrity-failed' })
})

test('a hash for a file that the model does not have is refused, and what is stored stays', async ({
  page,
  server,
}) => {
  const model = serveModel(server)
  const config = JSON.parse(readFileSync(join(modelFolder, 'config.json'), 'utf8')) as object
  // Without a recommended variant, the load looks for several.
  const plain = new TextEncoder().encode(JSON.stringify({ ...config, 'transformers.js_config': undefined }))
  serve(server, { 'stories/config.json': plain })
  const pin = (path: string) => loadAndAsk(page, { model, download: { sha256: { [path]: '0'.repeat(64) } } })
  expect(await pin('onnx/modle.onnx')).toMatchObject({
    code: 'invalid-option',
    message: /"onnx\/modle\.onnx"/,
  })
  expect(server.sentBytes).toBe(0)
  expect((await loadAndAsk(page, { model })).text).toBe(story)
  const { sentBytes } = server
  const refused = await pin('onnx/modle.onnx')
  expect(refused.code).toBe('invalid-option')
  for (const path of modelFiles) expect(refused.message).toContain(path)
  // The first load looked for this file, and recorded that it is missing.
  server.isDown = true
  expect(await pin('onnx/model_q4.onnx')).toMatchObject({ code: 'invalid-option' })
  // Another variant than the one that is loaded: without the network, nobody knows whether the folder has it.
  expect(await pin('onnx/model_q4f16.onnx')).toMatchObject({ text: story })
  expect(server.sentBytes).toBe(sentBytes)
})

test('stored bytes without a record are removed at the next start', async ({ page, server }) => {
  const orphans = await page.evaluateHandle(async () => {
    // An interrupted removal leaves this.
    const models = await (
      await navigator.storage.getDirectory()
    ).getDirectoryHandle('rivulet-models', { create: true })
    const model = await models.getDirectoryHandle('0123456789abcdef', { create: true })
    const file = await model.getDirectoryHandle('onnx%2Fmodel.onnx', { create: true })
    const segment = await (await file.getFileHandle('0', { create: true })).createWritable()
    await segment.write(new Uint8Array(1e6))
    await segment.close()
    return model
  })
  expect((await loadAndAsk(page, { model: serveModel(server) })).text).toBe(story)
  const countOrphans = () =>
    orphans.evaluate(async (model) => {
      let count = 0
      for await (const _ of model.keys()) count += 1
      return count
    })
  await expect.poll(countOrphans).toBe(0)
})

test('a cancelled load keeps the downloaded bytes, and asks the browser once to persist them', async ({
  page,
  server,
}) => {
  const model = serveModel(server)
  const graphBytes = readFileSync(join(modelFolder, graphFile)).length
  server.bytesPerSecond = 2 * 2 ** 20
  const loaded = await page.evaluate(
    async ({ model, graphFile, graphBytes }) => {
      const { createEngine, onnx } = window.rivulet
      let persistCalls = 0
      Object.defineProperty(navigator.storage, 'persist', {
        value: () => {
          persistCalls += 1
          return Promise.resolve(true)
        },
      })
      const abort = new AbortController()
      const reason = new Error('cancelled')
      const cancelled = createEngine({
        backend: onnx({ device: 'wasm' }),
        model,
        signal: abort.signal,
        onProgress({ files }) {
          const graph = files.find(({ path }) => path === graphFile)
          if (graph && graph.loadedBytes > graphBytes / 2) abort.abort(reason)
        },
      })
      const isReason = await cancelled.catch((error: unknown) => error === reason)
      const callsOfOneLoad = persistCalls
      // At once: the ended worker still has the file open, and the new one must wait for it.
      const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model })
      const question = 'Tell me a story about a dragon.'
      const text = await engine.generate(question, { temperature: 0, maxTokens: 5 }).text()
      await engine.dispose()
      return { callsOfOneLoad, isReason, text }
    },
    { model, graphFile, graphBytes },
  )
  expect(loaded).toEqual({ callsOfOneLoad: 1, isReason: true, text: story })
  const [, ...again] = server.requests.filter(
    ({ method, path }) => method === 'GET' && path === `stories/${graphFile}`,
  )
  const bytesAgain = again.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
  expect(bytesAgain).toBeGreaterThan(0)
  // Half of them, and what the ended worker had received and not yet written.
  expect(bytesAgain).toBeLessThan(graphBytes * 0.8)
})

test('damaged weights never reach the runtime if their hash is known', async ({ page, server }) => {
  const model = serveModel(server)
  const graph = readFileSync(join(modelFolder, graphFile))
  const served = server.files.get(`stories/${graphFile}`)!
  served.faults.push('bit flip', 'zero padding')
  const download = { sha256: { [graphFile]: sha256(graph) } }
  expect(await loadAndAsk(page, { model, download })).toMatchObject({
    code: 'integrity-failed',
    details: { file: graphFile, expected: sha256(graph) },
  })
  // The server has repaired the file; the other files are still stored.
  served.faults.push('bit flip')
  const { sentBytes } = server
  expect((await loadAndAsk(page, { model, download })).text).toBe(story)
  expect(server.sentBytes - sentBytes).toBe(2 * graph.length)
})

test('a model that does not fit is refused, and loads once there is room', async ({
  page,
  context,
  server,
}) => {
  const model = serveModel(server)
  const session = await context.newCDPSession(page)
  const { origin } = new URL(page.url())
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1_000_000 })
  // Chromium does not report this quota to pages: only a write fails.
  expect(await loadAndAsk(page, { model })).toMatchObject({
    code: 'quota-exceeded',
    details: { neededBytes: expect.any(Number), availableBytes: 0 },
  })
  await session.send('Storage.overrideQuotaForOrigin', { origin })
  expect((await loadAndAsk(page, { model })).text).toBe(story)
})

test('if the disk fills up, the downloaded bytes are kept', async ({ page, context, server }) => {
  const content = createContent(8 * 2 ** 20)
  serve(server, { 'weights.bin': content })
  server.bytesPerSecond = 8 * 2 ** 20
  const session = await context.newCDPSession(page)
  const { origin } = new URL(page.url())
  const storing = storeFile(page, { url: server.url, path: 'weights.bin' })
  while (server.sentBytes < content.length / 4) await page.waitForTimeout(10)
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: content.length / 2 })
  expect((await storing).answer).toMatchObject({ kind: 'failed', code: 'quota-exceeded' })
  await session.send('Storage.overrideQuotaForOrigin', { origin })
  const { answer } = await storeFile(page, { url: server.url, path: 'weights.bin' })
  expect(answer).toMatchObject({ kind: 'stored', sha256: sha256(content) })
  expect(server.sentBytes).toBeLessThan(1.5 * content.length)
})

const runtimeBytes = statSync('node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm').size

test('models are listed, removed, and evicted by last use', async ({ page, server }) => {
  const models = ['a/', 'b/', 'c/'].map((prefix) => serveModel(server, prefix))
  for (const model of models) await loadAndAsk(page, { model })
  await loadAndAsk(page, { model: models[0]! })
  const list = () => page.evaluate(() => window.rivulet.store.list())
  const listed = await list()
  expect(listed.map(({ model }) => model)).toEqual([models[0], models[2], models[1]])
  const sizeBytes = modelFiles.reduce((sum, path) => sum + readFileSync(join(modelFolder, path)).length, 0)
  for (const model of listed) {
    expect(model).toMatchObject({ storedBytes: sizeBytes, totalBytes: sizeBytes, isComplete: true })
  }
  const evicted = await page.evaluate((keepBytes) => window.rivulet.store.evict({ keepBytes }), sizeBytes * 2)
  expect(evicted).toMatchObject([{ model: models[1] }])
  const remove = (model: string) => page.evaluate((model) => window.rivulet.store.remove(model), model)
  expect(await remove(models[2]!)).toBe(true)
  expect(await remove(models[2]!)).toBe(false)
  expect((await list()).map(({ model }) => model)).toEqual([models[0]])
  await remove(models[0]!)
  const usage = await page.evaluate(async () => (await navigator.storage.estimate()).usage)
  // The runtime's file stays for other models.
  expect(usage).toBeLessThan(runtimeBytes + 100_000)
})

test('the runtime is listed and removed on its own, and evicted after the last model', async ({
  page,
  server,
}) => {
  const model = serveModel(server)
  await loadAndAsk(page, { model })
  const listRuntimes = () => page.evaluate(() => window.rivulet.store.listRuntimes())
  const runtime = {
    runtime: 'onnxruntime-web',
    storedBytes: runtimeBytes,
    totalBytes: runtimeBytes,
    isComplete: true,
  }
  expect(await listRuntimes()).toMatchObject([runtime])
  const evict = (keepBytes: number) =>
    page.evaluate((keepBytes) => window.rivulet.store.evict({ keepBytes }), keepBytes)
  // A model is left: the runtime does not count.
  expect(await evict(runtimeBytes - 1)).toEqual([])
  expect(await evict(0)).toMatchObject([{ model }, runtime])
  expect(await listRuntimes()).toEqual([])

  const remove = () => page.evaluate(() => window.rivulet.store.remove('onnxruntime-web'))
  expect(await remove()).toBe(false)
  // It is downloaded again.
  expect(await loadAndAsk(page, { model })).toMatchObject({ text: expect.any(String) })
  expect(await listRuntimes()).toMatchObject([runtime])
  expect(await remove()).toBe(true)
  expect(await listRuntimes()).toEqual([])
  expect(await page.evaluate(() => window.rivulet.store.list())).toMatchObject([{ model }])
})

test.describe('a hub', () => {
  const repository = 'owner/stories'

  /** A stand-in with the hub's layout: these tests cannot reach the real hub. */
  function serveHub(server: FaultServer, { damagedHash }: { damagedHash?: string } = {}) {
    const folder = `${repository}/resolve/main/`
    serveModel(server, folder)
    const tree = modelFiles.map((path) => {
      const bytes = readFileSync(join(modelFolder, path))
      const isLarge = path.endsWith('.onnx')
      const oid = sha256(bytes).slice(0, 40)
      const lfs = { oid: damagedHash ?? sha256(bytes), size: bytes.length }
      return { type: 'file', path, size: bytes.length, oid, ...(isLarge && { lfs }) }
    })
    const listing = new TextEncoder().encode(JSON.stringify(tree))
    serve(server, { [`api/models/${repository}/tree/main`]: listing })
    return { model: repository, download: { hubUrl: server.url } }
  }

  test('lists its files and their hashes in one request', async ({ page, server }) => {
    const options = serveHub(server)
    expect((await loadAndAsk(page, options)).text).toBe(story)
    expect(server.requests.filter(({ path }) => path.startsWith('api/'))).toHaveLength(1)
    expect(server.requests.map(({ path }) => path)).not.toContain(
      `${repository}/resolve/main/onnx/model_q4.onnx`,
    )
    server.requests.length = 0
    expect((await loadAndAsk(page, options)).text).toBe(story)
    expect(server.requests.map(({ path }) => path)).toEqual([`api/models/${repository}/tree/main`])
    server.isDown = true
    expect((await loadAndAsk(page, options)).text).toBe(story)
  })

  test('that sends a file with another hash than it lists is refused', async ({ page, server }) => {
    const options = serveHub(server, { damagedHash: '0'.repeat(64) })
    expect(await loadAndAsk(page, options)).toMatchObject({ code: 'integrity-failed' })
  })

  test('sends a private model to a client with its token, and no error contains the token', async ({
    page,
    server,
  }) => {
    const { model, download } = serveHub(server)
    server.secret = 'Bearer secret-token'
    const refused = await loadAndAsk(page, { model, download })
    expect(refused).toMatchObject({ code: 'download-failed', message: /Authorization/ })
    const wrong = { ...download, headers: { authorization: 'Bearer wrong-token' } }
    expect(JSON.stringify(await loadAndAsk(page, { model, download: wrong }))).not.toMatch(/wrong-token/)
    const right = { ...download, headers: { authorization: server.secret } }
    expect((await loadAndAsk(page, { model, download: right })).text).toBe(story)
  })
})

test('a model larger than memoryBudgetBytes is refused, and the error contains the sizes', async ({
  page,
  server,
}) => {
  const error = await page.evaluate(async (model) => {
    const { createEngine, onnx } = window.rivulet
    try {
      await createEngine({ backend: onnx({ device: 'wasm', memoryBudgetBytes: 3e6 }), model })
      return undefined
    } catch (thrown) {
      const error = thrown as InstanceType<typeof window.rivulet.RivuletError>
      if (error.code !== 'memory-exceeded') throw error
      const { code, details } = error
      return { code, details }
    }
  }, serveModel(server))
  expect(error).toMatchObject({ code: 'memory-exceeded', details: { availableBytes: 3e6 } })
  expect(Number(error!.details.neededBytes)).toBeGreaterThan(3e6)
})

test('a folder or files that the user chose load as a model', async ({ page }) => {
  const texts = await page.evaluate(async (paths) => {
    const { createEngine, onnx } = window.rivulet
    // Only a user can choose a folder in a picker. The origin's private file system has handles of the same kind.
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('mine', { create: true })
    const onnxFolder = await root.getDirectoryHandle('onnx', { create: true })
    const files: File[] = []
    for (const path of paths) {
      const name = path.split('/').at(-1)!
      const bytes = await (await fetch(`./models/stories/${path}`)).arrayBuffer()
      const folder = path.includes('/') ? onnxFolder : root
      const writable = await (await folder.getFileHandle(name, { create: true })).createWritable()
      await writable.write(bytes)
      await writable.close()
      files.push(new File([bytes], name))
    }
    const texts: string[] = []
    for (const model of [root, files]) {
      const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model })
      texts.push(
        `${engine.info.model}: ${await engine.generate('Hi', { temperature: 0, maxTokens: 3 }).text()}`,
      )
      await engine.dispose()
    }
    return texts
  }, modelFiles)
  expect(texts).toEqual([expect.stringMatching(/^mine: \S/), expect.stringMatching(/^files: \S/)])
})

test('a model loads if nothing can be stored', async ({ page, server }) => {
  const texts = await page.evaluate(async (model) => {
    const { createEngine, onnx } = window.rivulet
    const texts: string[] = []
    for (const kind of ['fileless', 'handleless'] as const) {
      const backend = onnx({ device: 'wasm', worker: () => window.createFilelessWorker(kind) })
      const engine = await createEngine({ backend, model })
      const question = 'Tell me a story about a dragon.'
      texts.push(await engine.generate(question, { temperature: 0, maxTokens: 5 }).text())
      await engine.dispose()
    }
    return texts
  }, serveModel(server))
  expect(texts).toEqual([story, story])
  expect(await page.evaluate(() => window.rivulet.store.list())).toEqual([])
})

test('the WebAssembly of ONNX Runtime comes from the HTTP cache from the second load on, else from the store', async ({
  context,
  page,
}) => {
  const seen: string[] = []
  context.on('requestfinished', (request) => {
    if (request.url().endsWith('.wasm')) seen.push(request.method())
  })
  context.on('requestfailed', (request) => seen.push(`failed: ${request.url()}`))
  const load = async () => {
    seen.length = 0
    const engine = await loadEngine(page, 'wasm')
    const text = await engine.evaluate(async (engine) => {
      const { text } = await engine.generate('Once upon a time,', { maxTokens: 4 }).result
      await engine.dispose()
      return text
    })
    expect(text).not.toBe('')
    return [...seen]
  }
  expect(await load()).toEqual(['GET'])
  // The HTTP cache answers both.
  expect(await load()).toEqual(['HEAD', 'GET'])
  const session = await context.newCDPSession(page)
  await session.send('Network.clearBrowserCache')
  // The server answers it.
  expect(await load()).toEqual(['HEAD'])
  // The HTTP cache is not asked again.
  expect(await load()).toEqual([])
})
