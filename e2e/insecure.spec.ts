// An insecure page, as on a phone that opens `http://192.168…` of a computer in the same network. Such a page has no private
// file system, no Web Locks, no Web Crypto, no WebGPU and no shared memory.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chromium, expect, test as base, type Page } from '@playwright/test'
import { barePageUrl } from './ports.js'

const insecureHost = '192.168.7.7'
const graphFile = 'onnx/model_quantized.onnx'

const test = base.extend({
  page: async ({ launchOptions }, use) => {
    const { args = [], ...options } = launchOptions
    // The browser takes the test server for another computer.
    const toServer = `--host-resolver-rules=MAP ${insecureHost} localhost`
    const browser = await chromium.launch({ ...options, args: [...args, toServer] })
    const page = await browser.newPage()
    await page.goto(barePageUrl.replace('localhost', insecureHost))
    await page.waitForFunction(() => 'rivulet' in window)
    await use(page)
    await browser.close()
  },
})

/** Loads the embedded model and generates. @returns what the page sees, or the error */
function tellStory(page: Page, name: 'llamaCpp' | 'onnx', download: object = {}) {
  return page.evaluate(
    async ({ name, download }) => {
      const { createEngine } = window.rivulet
      const model = name === 'onnx' ? './models/stories/' : './models/stories.gguf'
      try {
        const engine = await createEngine({ backend: window.rivulet[name](), model, download })
        const { text } = await engine.generate('Tell me a story about a dragon.', {
          temperature: 0,
          maxTokens: 5,
        }).result
        await engine.dispose()
        return { text, device: engine.info.deviceDescription }
      } catch (error) {
        const { code, message } = error as { readonly code?: string; readonly message: string }
        return { code, message }
      }
    },
    { name, download },
  )
}

test('an insecure page lacks what the library must do without', async ({ page }) => {
  expect(
    await page.evaluate(() => ({
      isSecureContext,
      crossOriginIsolated,
      names: ['gpu', 'locks', 'storage', 'serviceWorker'].filter((name) => name in navigator),
      hasHashes: 'subtle' in crypto,
    })),
  ).toEqual({ isSecureContext: false, crossOriginIsolated: false, names: [], hasHashes: false })
})

for (const name of ['onnx', 'llamaCpp'] as const) {
  test(`${name}() streams on an insecure page, on one thread, and downloads each file once`, async ({
    page,
  }) => {
    const downloaded: string[] = []
    page.context().on('request', (request) => {
      const { pathname } = new URL(request.url())
      if (request.method() === 'GET' && pathname.startsWith('/models/')) downloaded.push(pathname)
    })
    expect(await tellStory(page, name)).toEqual({ text: 'Once upon a time,', device: 'CPU, 1 thread' })
    expect(downloaded.length).toBeGreaterThan(0)
    expect(downloaded).toEqual([...new Set(downloaded)])
  })
}

test('availability() gives the reasons on an insecure page', async ({ page }) => {
  const found = await page.evaluate(() => {
    const { availability, llamaCpp, onnx, webLlm } = window.rivulet
    return availability(onnx(), llamaCpp(), webLlm({ model: 'm' }))
  })
  expect(found).toMatchObject({
    webgpu: { unavailable: expect.stringContaining('secure context') },
    wasm: { hasThreads: false },
    backends: [
      { name: 'onnx', isAvailable: true, isSlow: true },
      { name: 'llama-cpp', isAvailable: true },
      { name: 'web-llm', isAvailable: false, reason: expect.stringContaining('https') },
    ],
  })
})

test('hashes are checked on an insecure page', async ({ page }) => {
  const bytes = readFileSync(`demo/public/models/stories/${graphFile}`)
  const hash = createHash('sha256').update(bytes).digest('hex')
  const right = await tellStory(page, 'onnx', { sha256: { [graphFile]: hash } })
  expect(right).toMatchObject({ text: 'Once upon a time,' })
  const wrong = await tellStory(page, 'onnx', { sha256: { [graphFile]: '0'.repeat(64) } })
  expect(wrong).toMatchObject({ code: 'integrity-failed' })
})

test('the store is empty on an insecure page, and its methods settle', async ({ page }) => {
  await tellStory(page, 'onnx')
  const seen = await page.evaluate(async () => {
    const { store } = window.rivulet
    return [
      await store.list(),
      await store.listRuntimes(),
      await store.remove('onnxruntime-web'),
      await store.remove('./models/stories/'),
      await store.remove('./models/stories.gguf'),
      await store.evict({ keepBytes: 0 }),
    ]
  })
  expect(seen).toEqual([[], [], false, false, false, []])
})
