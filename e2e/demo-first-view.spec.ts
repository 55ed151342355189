// What a first visitor sees: nothing moves by itself, and nothing is shown that has no value yet.
import { expect, test } from '@playwright/test'
import { answers, ask, openDemo, readouts, state } from './demo-page.js'

test('at 1280×800 the page neither scrolls by itself nor clips its header', async ({ page }) => {
  await page.setViewportSize({ width: 1280, height: 800 })
  await openDemo(page)
  await expect(state(page, 'ready')).toBeVisible()
  const readPlace = () =>
    page.evaluate(() => ({
      scrolled: scrollY,
      headerTop: document.querySelector('header')!.getBoundingClientRect().top,
    }))
  const still = { scrolled: 0, headerTop: 0 }
  expect(await readPlace()).toEqual(still)
  await ask(page, 'Tell me a story about a dragon.')
  await expect(answers(page).first()).toHaveText(/\w+ \w+/)
  for (const testId of readouts) await expect(page.getByTestId(testId)).toBeVisible()
  await page.getByRole('textbox', { name: 'Message' }).press('Escape')
  await expect(state(page, 'ready')).toBeVisible()
  expect(await readPlace()).toEqual(still)
})

for (const width of [320, 390, 479]) {
  test(`at ${width} pixels the header is one row`, async ({ page }) => {
    await page.setViewportSize({ width, height: 844 })
    await openDemo(page)
    await expect(state(page, 'ready')).toBeVisible()
    const tops = await page
      .locator('header .action')
      .evaluateAll((all) => all.map((each) => each.getBoundingClientRect().top))
    expect(new Set(tops).size).toBe(1)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
  })
}

test('the figures are hidden until the first answer', async ({ page }) => {
  await openDemo(page)
  await expect(state(page, 'ready')).toBeVisible()
  for (const testId of readouts) await expect(page.getByTestId(testId)).toHaveCount(0)
  await ask(page, 'Tell me a story about a dragon.')
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
  await ask(page, 'Tell me a story about a dragon who lives by the sea. '.repeat(25))
  for (const text of await seen) expect(text).toMatch(/^Reading your message… [1-9]?\d %$/)
})
