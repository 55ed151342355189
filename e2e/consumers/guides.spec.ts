// The apps of the guides: with the packed package, and the guides' own lines, each built and streaming in a real browser.
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { expect, test, type Page } from '@playwright/test'
import { findChromium } from '../../scripts/chromium.mjs'
import { standInForHub } from '../docs/stand-in-hub.js'
import { buildConsumer, installConsumer, runConsumer, serveOwn, type Consumer } from './consumer.js'
import { serveApp, type ServedApp } from './serve-app.js'

const root = resolve(import.meta.dirname, '../..')

/**
 * Reads a code block of a document.
 * @param heading the start of the heading above it: `## React`
 * @param index of the block among those of its language, from 0
 */
function readBlock(document: string, heading: string, language: string, index = 0): string {
  const text = readFileSync(join(root, document), 'utf8')
  const section = text.slice(text.search(new RegExp(`^${heading}`, 'm'))).split(/^#+ /m)[1]!
  const blocks = [...section.matchAll(/^```(?<info>.*)\n(?<code>[^]*?\n)```$/gm)].map(({ groups }) => groups!)
  const code = blocks.filter(({ info }) => info!.split(' ')[0] === language)[index]?.code
  if (code === undefined) throw new Error(`${document} has no block of ${language} below "${heading}".`)
  return code
}

const chatGuide = 'docs/guides/chat-in-a-framework.md'
const openAiGuide = 'docs/guides/openai-clients.md'
const testingGuide = 'docs/guides/testing.md'

function writeFiles({ folder }: Consumer, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

/** Installs an app, writes files into it, and removes it after `run`. */
async function withConsumer(
  app: string,
  files: Readonly<Record<string, string>>,
  run: (consumer: Consumer) => Promise<void>,
): Promise<void> {
  const consumer = installConsumer(app)
  try {
    writeFiles(consumer, files)
    await run(consumer)
  } finally {
    consumer.remove()
  }
}

async function withServer(served: ServedApp, run: (served: ServedApp) => Promise<void>): Promise<void> {
  try {
    await run(served)
  } finally {
    served.close()
  }
}

const serveBuilt = (consumer: Consumer) => serveApp(buildConsumer(consumer, 'dist'), 'plain')

/**
 * Waits until the text of an element has grown several times. A text that comes in one piece does not pass.
 * @param act starts the text
 * @param index of the element among those that the selector finds
 */
async function expectGrowth(
  page: Page,
  selector: string,
  act: () => Promise<void>,
  index = 0,
): Promise<void> {
  const lengths = page.evaluate(
    async ({ selector, index }) => {
      const seen = new Set<number>()
      while (seen.size < 5) {
        const { length } = document.querySelectorAll(selector)[index]?.textContent ?? ''
        if (length > 0) seen.add(length)
        await new Promise(requestAnimationFrame)
      }
      return [...seen]
    },
    { selector, index },
  )
  await act()
  const grown = await lengths
  expect(grown).toEqual(grown.toSorted((a, b) => a - b))
}

test('Vite, with the README’s example (a stand-in for the hub)', async ({ page, context }) => {
  await standInForHub(context)
  const example = readBlock('README.md', '## Install', 'ts')
  await withConsumer('vite-8', { 'src/main.js': example }, async (consumer) =>
    withServer(await serveBuilt(consumer), async ({ url }) => {
      await page.goto(url)
      await expectGrowth(page, 'body', async () => {})
    }),
  )
})

test('Vite, with the guide’s progress bar', async ({ page }) => {
  const example = readBlock('docs/guides/first-steps.md', '## A progress bar', 'ts')
  await withConsumer('vite-8', { 'src/main.js': example }, async (consumer) =>
    withServer(await serveBuilt(consumer), async ({ url }) => {
      await page.goto(url, { waitUntil: 'commit' })
      await expect(page.locator('progress')).toBeVisible()
      await expect(page.locator('progress')).toHaveCount(0)
    }),
  )
})

test('the openai client', async ({ page }) => {
  const example = readBlock(openAiGuide, '## The `openai` package', 'ts')
  await withConsumer('openai', { 'src/example.js': example }, async (consumer) =>
    withServer(await serveBuilt(consumer), async ({ url }) => {
      await page.goto(url)
      await expectGrowth(page, 'body', async () => {})
      await expect(page.locator('body')).toHaveAttribute('data-state', 'done')
    }),
  )
})

test('the AI SDK: streamText, and useChat', async ({ page }) => {
  const files = {
    'src/ai-sdk-chat.tsx': readBlock(chatGuide, '## The AI SDK', 'tsx'),
    'src/example.js': readBlock(openAiGuide, '## The AI SDK', 'ts'),
  }
  await withConsumer('ai-sdk', files, async (consumer) =>
    withServer(await serveBuilt(consumer), async ({ url }) => {
      await page.goto(`${url}?stream-text`)
      await expectGrowth(page, 'body', async () => {})
      await page.goto(url)
      await expect(page.getByRole('status')).toHaveText('ready')
      await expectGrowth(page, 'article[aria-label=assistant] p', async () => {
        await page.getByLabel('Question').fill('Tell me a story about a dragon.')
        await page.getByRole('button', { name: 'Send' }).click()
      })
      await expect(page.getByRole('article', { name: 'assistant' })).toContainText(/[1-9]\d* tokens/)
    }),
  )
})

for (const { name, app, files } of [
  { name: 'Vue', app: 'vue', files: { 'use-chat.ts': 'ts', 'chat.vue': 'vue' } },
  { name: 'Svelte', app: 'svelte', files: { 'chat.svelte': 'svelte' } },
] as const) {
  test(`${name}: the guide’s chat builds, and shows an answer as it grows`, async ({ page }) => {
    const blocks = Object.entries(files).map(([file, language]) => [
      `src/${file}`,
      readBlock(chatGuide, `## ${name}`, language),
    ])
    await withConsumer(app, Object.fromEntries(blocks), async (consumer) =>
      withServer(await serveBuilt(consumer), async ({ url }) => {
        await page.goto(url)
        await expectGrowth(page, 'p:nth-of-type(2)', () => page.getByRole('button', { name: 'Send' }).click())
        await page.evaluate(() => (window as unknown as { hide(): void }).hide())
        await expect(page.locator('p')).toHaveCount(0)
      }),
    )
  })
}

/** Asks the guide's chat in React, and waits for the end of its answer. */
async function ask(page: Page): Promise<void> {
  await expect(page.getByRole('status')).toHaveText('ready', { timeout: 120_000 })
  const answers = page.getByRole('article', { name: 'assistant' })
  const send = async () => {
    await page.getByLabel('Question').fill('Tell me a story about a dragon.')
    await page.getByRole('button', { name: 'Send' }).click()
  }
  await expectGrowth(page, 'article[aria-label=assistant] p', send, await answers.count())
  await expect(answers.last()).toContainText(/ms to the first token/)
}

/** Edits the module of the chat while the development server runs. @param file the module */
async function editWhileServed(page: Page, file: string): Promise<void> {
  for (const label of ['Once more', 'Encore', 'Repeat']) {
    const code = readFileSync(file, 'utf8')
    writeFileSync(file, code.replace(/(disabled=.*length === 0.>\s*)[\w ]+/, `$1${label}`))
    await expect(page.getByRole('button', { name: label })).toBeVisible()
    // A file watcher merges changes that follow each other at once.
    await page.waitForTimeout(500)
  }
}

for (const { name, app, file, isFast, serveBuiltApp } of [
  {
    name: 'React with Vite',
    app: 'react-vite',
    file: 'src/story-chat.tsx',
    isFast: true,
    serveBuiltApp: serveBuilt,
  },
  {
    name: 'React with Next',
    app: 'next-chat',
    file: 'app/story-chat.tsx',
    // Takes more than a minute: CI does not run it.
    isFast: false,
    async serveBuiltApp(consumer: Consumer) {
      buildConsumer(consumer, '.next')
      return serveOwn(consumer, 'start')
    },
  },
] as const) {
  test.describe(`${name}: the guide’s chat`, () => {
    let consumer: Consumer
    test.beforeAll(() => {
      consumer = installConsumer(app)
      writeFiles(consumer, { [file]: readBlock(chatGuide, '## React', 'tsx') })
    })
    test.afterAll(() => consumer.remove())

    test('builds and streams', { tag: isFast ? '@ci' : [] }, async ({ page }) =>
      withServer(await serveBuiltApp(consumer), async ({ url }) => {
        await page.goto(url)
        await ask(page)
      }),
    )

    test('on the development server, edits of the module leave one worker', async ({ page }) =>
      withServer(await serveOwn(consumer, 'dev'), async ({ url }) => {
        await page.goto(url)
        await ask(page)
        await editWhileServed(page, join(consumer.folder, file))
        await ask(page)
        expect(page.workers()).toHaveLength(1)
      }))
  })
}

test('Playwright: the guide’s test of a page passes', async () => {
  const files = {
    'playwright.config.ts': readBlock(testingGuide, '# Testing a page', 'ts', 0),
    'tests/chat.spec.ts': readBlock(testingGuide, '# Testing a page', 'ts', 1),
  }
  await withConsumer('playwright', files, async (consumer) => {
    buildConsumer(consumer, 'dist')
    const { stats } = JSON.parse(
      runConsumer(consumer, {
        APP_PORT: String(await findPort()),
        APP_CHROMIUM: findChromium() ?? '',
      }),
    ) as { readonly stats: object }
    expect(stats).toMatchObject({ expected: 1, unexpected: 0, flaky: 0, skipped: 0 })
  })
})

/** Returns a free port. */
function findPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, 'localhost', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
