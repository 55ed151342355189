// Apps as other people build them, with the packed package and onnxruntime-web alone, streaming in a real browser.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test, type Page } from '@playwright/test'
import { Tokenizer } from '@huggingface/tokenizers'
import { installConsumer, serveBuild, serveDev, type Consumer } from './consumer.js'
import type { ServedApp } from './serve-app.js'

const bundlers = [
  { name: 'Vite 8', app: 'vite-8', output: 'dist', hasDevServer: true, isFast: true },
  { name: 'webpack 5', app: 'webpack-5', output: 'dist', hasDevServer: false, isFast: true },
] as const

for (const { name, app, output, hasDevServer, isFast } of bundlers) {
  test.describe(name, () => {
    let consumer: Consumer
    test.beforeAll(() => {
      consumer = installConsumer(app)
    })
    test.afterAll(() => consumer.remove())

    test('no other optional peer is installed', { tag: isFast ? '@ci' : [] }, () => {
      expect(consumer.packages).toContain('rivulet')
      for (const peer of ['@ai-sdk/provider', '@mlc-ai/web-llm', '@wllama/wllama']) {
        expect(consumer.packages).not.toContain(peer)
      }
    })

    testStreaming('the built app', isFast, ['wasm', 'webgpu'], () => serveBuild(consumer, output))
    if (hasDevServer)
      testStreaming("the development server's app", isFast, ['wasm'], () => serveDev(consumer))
  })
}

/** A software adapter takes a second for what the CPU does in a moment. */
const storyTokens = { wasm: 32, webgpu: 4 } as const

function testStreaming(
  what: string,
  isFast: boolean,
  devices: readonly ('wasm' | 'webgpu')[],
  serve: () => Promise<ServedApp>,
): void {
  test.describe(what, () => {
    let served: ServedApp
    test.beforeAll(async () => {
      served = await serve()
    })
    test.afterAll(() => served.close())

    for (const device of devices) {
      const tag = isFast && device === 'wasm' ? '@ci' : []
      test(`${what} finds worker and WebAssembly, and streams on ${device}`, { tag }, async ({ page }) => {
        const tokens = storyTokens[device]
        const { chunks, workers, requests } = await readStory(
          page,
          `${served.url}?device=${device}&tokens=${tokens}`,
        )
        expect(chunks.join('')).toBe(tokenizer.decode(dragon!.greedyIds.slice(0, tokens)))
        expect(chunks.length).toBeGreaterThan(tokens / 2)
        expect(workers).toEqual([expect.stringContaining(served.url)])
        expect(requests.filter(({ url }) => !url.startsWith(served.url))).toEqual([])
        const wasm = requests.filter(({ url }) => /\.wasm\b/.test(url))
        // More than one where Vite finds new packages while the page loads, and reloads it.
        expect(wasm.length).toBeGreaterThan(0)
        expect(wasm.filter(({ status }) => status !== 200)).toEqual([])
      })
    }
  })
}

const models = resolve(import.meta.dirname, '../../demo/public/models/stories')
const tokenizer = new Tokenizer(
  readJson(join(models, 'tokenizer.json')) as object,
  readJson(join(models, 'tokenizer_config.json')) as object,
)
/** What another implementation of the model says. */
const [dragon] = readJson(resolve(import.meta.dirname, '../models/stories-reference.json')) as {
  readonly greedyIds: readonly number[]
}[]

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

interface Story {
  readonly chunks: readonly string[]
  readonly workers: readonly string[]
  readonly requests: readonly { readonly url: string; readonly status: number }[]
}

/** Opens the app and waits for the end of its story. */
async function readStory(page: Page, url: string): Promise<Story> {
  const requests: { readonly url: string; readonly status: number }[] = []
  const complaints: string[] = []
  page.on('response', (response) => {
    if (response.url().startsWith('http')) requests.push({ url: response.url(), status: response.status() })
  })
  page.on('pageerror', ({ message }) => complaints.push(message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  await page.goto(url)
  const answer = page.locator('output')
  await expect(answer, complaints.join('\n')).toHaveAttribute('data-state', /./, { timeout: 120_000 })
  await expect(answer, await answer.innerText()).toHaveAttribute('data-state', 'done')
  const chunks = await answer
    .locator('span')
    .evaluateAll((spans) => spans.map((span) => span.textContent ?? ''))
  return { chunks, workers: page.workers().map((worker) => worker.url()), requests }
}
