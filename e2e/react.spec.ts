// The React examples of docs/guides/chat-in-a-framework.md, built like an app, with the embedded model.
import { readFile } from 'node:fs/promises'
import { expect, test, type Page } from '@playwright/test'
import { barePageUrl } from './ports.js'

const openApp = (page: Page, query: string) => page.goto(`${barePageUrl}react.html?${query}`)

const answers = (page: Page) => page.getByRole('article', { name: 'assistant' })

async function ask(page: Page, question: string): Promise<void> {
  await page.getByLabel('Question').fill(question)
  await page.getByRole('button', { name: 'Send' }).click()
}

/**
 * Asks, and interrupts the answer when the page shows its first words. The page itself does it: the whole answer can be
 * there before a command of the test arrives.
 */
async function askAndInterrupt(
  page: Page,
  question: string,
  interruption: 'stop' | 'unmount',
): Promise<void> {
  const earlier = await answers(page).count()
  const interrupted = page.evaluate(
    ({ earlier, interruption }) =>
      new Promise<void>((resolve) => {
        const observer = new MutationObserver(() => {
          const answer = document.querySelectorAll('article[aria-label=assistant] p')[earlier]
          if (!/\w+ \w+/.test(answer?.textContent ?? '')) return
          observer.disconnect()
          const buttons = [...document.querySelectorAll('button')]
          if (interruption === 'unmount') window.reactRoot.unmount()
          else buttons.find(({ textContent }) => textContent === 'Stop')!.click()
          resolve()
        })
        observer.observe(document.body, { subtree: true, childList: true, characterData: true })
      }),
    { earlier, interruption },
  )
  await ask(page, question)
  await interrupted
}

/** Counts the different texts that the last answer shows until the app is ready again. */
async function countTexts(page: Page): Promise<number> {
  const counted = page.evaluate(async () => {
    const texts = new Set<string>()
    const look = () => texts.add([...document.querySelectorAll('article p')].at(-1)?.textContent ?? '')
    const observer = new MutationObserver(look)
    observer.observe(document.body, { subtree: true, childList: true, characterData: true })
    const hasEnded = () => {
      const answered = document.querySelectorAll('article[aria-label=assistant] p').length
      return answered > 0 && document.querySelector('[role=status]')?.textContent === 'ready'
    }
    while (!hasEnded()) await new Promise((resolve) => setTimeout(resolve, 20))
    observer.disconnect()
    return texts.size
  })
  await ask(page, 'Tell me a story about a dragon.')
  return counted
}

/** Counts the finished generations in the page's Performance timeline. */
const countGenerations = (page: Page) =>
  page.evaluate(() => performance.getEntriesByName('rivulet:generation').length)

test.describe('useRivuletChat() and useRivuletEngine()', () => {
  test('stream a story, stop the next answer, and regenerate it', async ({ page }) => {
    await openApp(page, 'story')
    await expect(page.getByRole('status')).toHaveText('ready')
    expect(await countTexts(page)).toBeGreaterThan(10)
    await expect(answers(page)).toContainText(/(stop|length), \d+ ms to the first token/)
    await askAndInterrupt(page, 'And then?', 'stop')
    await expect(answers(page).last()).toContainText('cancelled')
    await expect(answers(page).last().locator('p')).toHaveText(/\w+ \w+/)
    await page.getByRole('button', { name: 'Again' }).click()
    await expect(answers(page).last()).toContainText(/(stop|length), \d+ ms to the first token/)
    await expect(answers(page)).toHaveCount(2)
  })

  test('end the answer and the worker when the component unmounts', async ({ page }) => {
    await openApp(page, 'story')
    await expect(page.getByRole('status')).toHaveText('ready')
    expect(page.workers().length).toBeGreaterThan(0)
    expect(await countGenerations(page)).toBe(0)
    await askAndInterrupt(page, 'Tell me a story about a dragon.', 'unmount')
    expect(await countGenerations(page)).toBe(1)
    await expect.poll(() => page.workers().length).toBe(0)
  })

  test('show why a model cannot be loaded', async ({ page }) => {
    await openApp(page, 'story&model=./models/none/')
    await expect(page.getByRole('status')).toHaveText('failed')
    await expect(page.getByRole('alert')).toContainText('models/none')
  })
})

test.describe("useChat() of @ai-sdk/react, over languageModel() and the SDK's DirectChatTransport", () => {
  test.beforeEach(async ({ page }) => {
    await openApp(page, 'ai-sdk')
    await expect(page.getByRole('status')).toHaveText('ready')
  })

  test('streams a story with its usage, and follows up', async ({ page }) => {
    expect(await countTexts(page)).toBeGreaterThan(10)
    await expect(answers(page)).toContainText(/[1-9]\d* tokens/)
    await ask(page, 'And then?')
    await expect(answers(page).last()).toContainText(/[1-9]\d* tokens/)
    await expect(answers(page)).toHaveCount(2)
  })

  test('stops, keeps the text so far, and the engine takes the next request', async ({ page }) => {
    await ask(page, 'Tell me a story about a dragon.')
    await expect(answers(page).locator('p')).toHaveText(/\w+ \w+/)
    await page.getByRole('button', { name: 'Stop' }).click()
    await expect(page.getByRole('status')).toHaveText('ready')
    expect(await countGenerations(page)).toBe(1)
    await expect(answers(page).locator('p')).toHaveText(/\w+ \w+/)
    // The SDK reports usage only for an answer that was not stopped.
    await expect(answers(page)).not.toContainText('tokens')
    await ask(page, 'And then?')
    await expect(answers(page).last()).toContainText(/[1-9]\d* tokens/)
  })

  test('stops when its component unmounts', async ({ page }) => {
    await ask(page, 'Tell me a story about a dragon.')
    await expect(answers(page).locator('p')).toHaveText(/\w+/)
    await page.evaluate(() => window.reactRoot.unmount())
    await expect.poll(() => countGenerations(page)).toBe(1)
    expect(await page.evaluate(() => window.appEngine.generate('Hello', { maxTokens: 2 }).text())).not.toBe(
      '',
    )
  })

  test("shows the engine's error message", async ({ page }) => {
    await page.evaluate(() => window.appEngine.dispose())
    await ask(page, 'Tell me a story about a dragon.')
    await expect(page.getByRole('status')).toHaveText('error')
    await expect(page.getByRole('alert')).toHaveText(/The engine was disposed/)
  })

  test('shows an error after the text so far', async ({ page }) => {
    await ask(page, 'Tell me a story about a dragon.')
    await expect(answers(page).locator('p')).toHaveText(/\w+ \w+/)
    await page.evaluate(() => window.appWorker.terminate())
    await expect(page.getByRole('alert')).toBeVisible()
    await expect(answers(page).locator('p')).toHaveText(/\w+ \w+/)
  })
})

test('rivulet/react is marked as client code for server rendering', async () => {
  const built = await readFile(new URL('../dist/lib/react.js', import.meta.url), 'utf8')
  expect(built).toMatch(/^['"]use client['"]/)
})

test('the guide shows the files that are tested here', async () => {
  const guide = await readFile(new URL('../docs/guides/chat-in-a-framework.md', import.meta.url), 'utf8')
  for (const file of ['story-chat.tsx', 'ai-sdk-chat.tsx']) {
    expect(guide).toContain(await readFile(new URL(`./page/${file}`, import.meta.url), 'utf8'))
  }
})
