// What a first visitor sees: nothing moves by itself, and nothing is shown that has no value yet.
import { expect, test as base } from 'rivulet/playwright'
import { answers, ask, openDemo, openServerDemo, readouts, serveAnswers, state } from './demo-page.js'
import type { FakeServer } from './fake-server.js'

const test = base.extend<{ readonly server: FakeServer }>({ server: serveAnswers })

test('at 1280×800 the page neither scrolls by itself nor clips its header', async ({ page, server }) => {
  await page.setViewportSize({ width: 1280, height: 800 })
  await openServerDemo(page, server)
  await expect(state(page, 'ready')).toBeVisible()
  const readPlace = () =>
    page.evaluate(() => ({
      scrolled: scrollY,
      canScroll: document.documentElement.scrollHeight > innerHeight,
      headerTop: document.querySelector('header')!.getBoundingClientRect().top,
    }))
  const still = { scrolled: 0, canScroll: false, headerTop: 0 }
  expect(await readPlace()).toEqual(still)
  await ask(page, 'Hello')
  await expect(answers(page).first()).toHaveText(/Once upon a time/)
  for (const testId of readouts) await expect(page.getByTestId(testId)).toBeVisible()
  expect(await readPlace()).toEqual(still)
})

for (const width of [320, 390, 479]) {
  test(`at ${width} pixels the header is one row`, async ({ page, server }) => {
    await page.setViewportSize({ width, height: 844 })
    await openServerDemo(page, server)
    await expect(state(page, 'ready')).toBeVisible()
    const tops = await page
      .locator('header .action')
      .evaluateAll((all) => all.map((each) => each.getBoundingClientRect().top))
    expect(new Set(tops).size).toBe(1)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
  })
}

test('the figures are hidden until the first answer', async ({ page, server }) => {
  await openServerDemo(page, server)
  await expect(state(page, 'ready')).toBeVisible()
  for (const testId of readouts) await expect(page.getByTestId(testId)).toHaveCount(0)
  await ask(page, 'Hello')
  for (const testId of readouts) await expect(page.getByTestId(testId)).toHaveText(/\d/)
})

test('while a long message is read, the page shows how much of it', async ({ page }) => {
  await openDemo(page)
  await expect(state(page, 'ready')).toBeVisible()
  const seen = page.evaluate(
    () =>
      new Promise<readonly string[]>((resolve) => {
        const texts = new Set<string>()
        new MutationObserver(() => {
          const note = document.querySelector('.reading')?.textContent
          if (note) texts.add(note)
          if (texts.size > 0 && !note) resolve([...texts])
        }).observe(document.body, { subtree: true, childList: true, characterData: true })
      }),
  )
  await ask(page, 'Tell me a story about a dragon who lives by the sea. '.repeat(30))
  for (const text of await seen) expect(text).toMatch(/^Reading your message… [1-9]?\d %$/)
})
