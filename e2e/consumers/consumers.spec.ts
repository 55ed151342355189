// Apps built by other bundlers, with only the packed package and onnxruntime-web, stream in a real browser.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test, type Page } from '@playwright/test'
import { Tokenizer } from '@huggingface/tokenizers'
import { buildConsumer, installConsumer, runConsumer, serveOwn, type Consumer } from './consumer.js'
import { serveStandInCdn } from './stand-in-cdn.js'
import { serveApp, type ServedApp } from './serve-app.js'

interface Bundler {
  readonly name: string
  /** The app's folder in `apps/`. */
  readonly app: string
  /** The folder of the build. */
  readonly output: string
  readonly hasDevServer?: true
  /** The bundler puts ONNX Runtime into the worker's script by default, and ONNX Runtime then uses one thread. */
  readonly hasOneThread?: true
  /** CI runs it. */
  readonly isFast?: true
}

const bundlers: readonly Bundler[] = [
  { name: 'Vite 8', app: 'vite-8', output: 'dist', hasDevServer: true, hasOneThread: true, isFast: true },
  { name: 'Vite 7', app: 'vite-7', output: 'dist', hasDevServer: true },
  { name: 'webpack 5', app: 'webpack-5', output: 'dist', isFast: true },
  { name: 'Rollup', app: 'rollup', output: 'dist' },
  { name: 'esbuild', app: 'esbuild', output: 'dist' },
  { name: 'Next', app: 'next', output: 'out' },
]

for (const { name, app, output, hasDevServer, hasOneThread, isFast } of bundlers) {
  test.describe(name, () => {
    const tag = isFast ? '@ci' : []
    let consumer: Consumer
    let built: ServedApp
    let isolated: ServedApp
    test.beforeAll(async () => {
      consumer = installConsumer(app)
      const folders = buildConsumer(consumer, output)
      built = await serveApp(folders, 'plain')
      isolated = await serveApp(folders, 'isolated')
    })
    test.afterAll(() => {
      built.close()
      isolated.close()
      consumer.remove()
    })

    test('the app builds without the other optional peers', { tag }, () => {
      const { dependencies } = readJson(join(consumer.folder, 'package.json')) as Dependencies
      // Next depends on React.
      const others = optionalPeers.filter((peer) => !(peer in dependencies))
      expect(others.length).toBeGreaterThan(3)
      expect(consumer.packages).toContain('rivulet')
      expect(consumer.packages.filter((name) => others.includes(name))).toEqual([])
    })

    test('the built app finds its worker and WebAssembly, and streams on WASM', { tag }, async ({ page }) => {
      expect(await readStory(page, built, 'wasm')).toBe('CPU, 1 thread')
    })

    const threads = hasOneThread ? '1 thread' : '4 threads'
    test(`the built app streams on ${threads} if it is cross-origin isolated`, { tag }, async ({ page }) => {
      await pretendProcessors(page, 8)
      expect(await readStory(page, isolated, 'wasm')).toBe(`CPU, ${threads}`)
    })

    test('the built app streams on WebGPU', async ({ page }) => {
      expect(await readStory(page, built, 'webgpu')).not.toContain('CPU')
    })

    if (hasDevServer) {
      test('the development server finds worker and WebAssembly, and streams', { tag }, async ({ page }) => {
        const served = await serveOwn(consumer, 'dev')
        try {
          await readStory(page, served, 'wasm')
        } finally {
          served.close()
        }
      })
    }
  })
}

for (const { name, app, hasDevServer } of [
  { name: 'Vite 8', app: 'vite-8-compat', hasDevServer: true },
  { name: 'webpack 5', app: 'webpack-5-compat', hasDevServer: false },
]) {
  test(`${name} finds the compatibility build of llama.cpp (injected: no 64-bit memories)`, async ({
    page,
  }) => {
    const consumer = installConsumer(app)
    const built = await serveApp(buildConsumer(consumer, 'dist'), 'plain')
    const dev = hasDevServer ? await serveOwn(consumer, 'dev') : undefined
    try {
      await removeMemory64(page)
      for (const served of [built, dev]) {
        if (served) expect(await readStory(page, served, 'wasm')).toBe('CPU, 1 thread')
      }
    } finally {
      dev?.close()
      built.close()
      consumer.remove()
    }
  })
}

test.describe('without a bundler', () => {
  let consumer: Consumer
  let served: ServedApp
  test.beforeAll(async () => {
    consumer = installConsumer('cdn')
    served = await serveApp([consumer.folder, join(consumer.folder, 'public')], 'plain')
  })
  test.afterAll(() => {
    served.close()
    consumer.remove()
  })

  test('a page streams with modules from a CDN (a stand-in)', async ({ page }) => {
    await serveStandInCdn(page, consumer.folder)
    expect(await readStory(page, served, 'wasm', ['https://esm.sh/', 'https://cdn.jsdelivr.net/'])).toBe(
      'CPU, 1 thread',
    )
  })
})

test('the hooks of rivulet/react run on React 18 (in Node, a stand-in for the engine)', () => {
  const consumer = installConsumer('react-18')
  try {
    expect(JSON.parse(runConsumer(consumer))).toEqual({
      version: expect.stringMatching(/^18\./),
      loads: 1,
      disposals: 1,
      texts: ['', 'Once', 'Once upon', 'Once upon a', 'Once upon a time'],
      rendered: ['Once upon a time'],
    })
  } finally {
    consumer.remove()
  }
})

const models = resolve(import.meta.dirname, '../../demo/public/models/stories')
const tokenizer = new Tokenizer(
  readJson(join(models, 'tokenizer.json')) as object,
  readJson(join(models, 'tokenizer_config.json')) as object,
)
/** Another implementation's answers. */
const [dragon] = readJson(resolve(import.meta.dirname, '../models/stories-reference.json')) as {
  readonly greedyIds: readonly number[]
}[]

interface Dependencies {
  readonly dependencies: Readonly<Record<string, string>>
}

const { peerDependencies } = readJson(resolve(import.meta.dirname, '../../package.json')) as {
  readonly peerDependencies: Readonly<Record<string, string>>
}
const optionalPeers = Object.keys(peerDependencies)

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** Simulates a larger machine: ONNX Runtime uses half of the processors, which is one thread on a small one. */
async function pretendProcessors(page: Page, count: number): Promise<void> {
  await page.route(/\.js$/, async (route) => {
    const response = await route.fetch()
    const claim = `Object.defineProperty(navigator, 'hardwareConcurrency', { value: ${count} });`
    await route.fulfill({ response, body: claim + (await response.text()) })
  })
}

/** Stands in for a browser whose WebAssembly has no memories with 64-bit addresses. */
async function removeMemory64(page: Page): Promise<void> {
  await page.route(/\.js(\?|$)/, async (route) => {
    const response = await route.fetch()
    const code = `WebAssembly.Memory = new Proxy(WebAssembly.Memory, { construct(target, [descriptor]) {
      if (descriptor.address === 'i64') throw new TypeError('unknown address type');
      return new target(descriptor);
    } });`
    await route.fulfill({ response, body: code + (await response.text()) })
  })
}

/** Few on WebGPU: a software adapter is much slower than the CPU. */
const storyTokens = { wasm: 32, webgpu: 4 } as const

/**
 * Opens the app and waits for the end of its story. The story must arrive in pieces, from one worker. All files must load
 * from the app's origin or from the CDNs.
 * @returns the device that it ran on
 */
async function readStory(
  page: Page,
  { url }: ServedApp,
  device: 'wasm' | 'webgpu',
  cdns: readonly string[] = [],
): Promise<string | null> {
  const responses: { readonly url: string; readonly status: number }[] = []
  page.on('response', (response) => {
    if (response.url().startsWith('http')) responses.push({ url: response.url(), status: response.status() })
  })
  const tokens = storyTokens[device]
  await page.goto(`${url}?device=${device}&tokens=${tokens}`)
  const answer = page.locator('output')
  await expect(answer).toHaveAttribute('data-state', /./, { timeout: 120_000 })
  expect(await answer.textContent()).toBe(tokenizer.decode(dragon!.greedyIds.slice(0, tokens)))
  await expect(answer).toHaveAttribute('data-state', 'done')
  expect(await answer.locator('span').count()).toBeGreaterThan(tokens / 2)

  expect(page.workers().length).toBeGreaterThan(0)
  for (const worker of page.workers()) expect(worker.url()).toContain(url)
  const origins = [url, ...cdns]
  expect(responses.filter((each) => !origins.some((origin) => each.url.startsWith(origin)))).toEqual([])
  const wasm = responses.filter((response) => /\.wasm\b/.test(response.url))
  // Twice if Vite discovers a dependency while the page loads, and reloads the page.
  expect(wasm.length).toBeGreaterThan(0)
  expect(wasm.filter(({ status }) => status !== 200)).toEqual([])
  return answer.getAttribute('data-device')
}
