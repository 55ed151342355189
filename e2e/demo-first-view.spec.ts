// What a first visitor sees: nothing moves by itself, and nothing is shown that has no value yet.
import { expect, test } from '@playwright/test'
import { answers, ask, button, openDemo, readouts, state } from './demo-page.js'

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
  const texts = await seen
  // On a slow machine, the first part takes more than a second.
  for (const text of texts) expect(text).toMatch(/^Reading your message…( [1-9]?\d %)?$/)
  expect(texts.join()).toContain('%')
})

test('each figure is explained on hover and focus, Escape closes the explanation, and screen readers get it', async ({
  page,
}) => {
  await openDemo(page)
  await ask(page, 'Tell me a story about a dragon.')
  await expect(page.getByTestId('ttft')).toHaveText(/\d/)
  const figures = page.getByRole('complementary', { name: 'Model and performance' })
  const names = figures.locator('.explained button')
  expect(await names.count()).toBeGreaterThan(10)
  for (const name of await names.all()) await expect(name).toHaveAccessibleDescription(/\w+ \w+.*\.$/)
  const name = button(page, 'TTFT')
  const explanation = figures.getByRole('tooltip')
  await expect(explanation).toHaveCount(0)
  await name.hover()
  await expect(explanation).toContainText('Time to first token')
  await page.mouse.move(0, 0)
  await expect(explanation).toHaveCount(0)
  await name.focus()
  await expect(explanation).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(explanation).toHaveCount(0)
})

test('on a narrow page the figures are one line, which unfolds', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await openDemo(page)
  await ask(page, 'Tell me a story about a dragon.')
  const figures = page.getByRole('complementary', { name: 'Model and performance' })
  await expect(figures).toContainText(/\d+ tokens/)
  expect((await figures.boundingBox())!.height).toBeLessThan(50)
  await figures.locator('summary').click()
  for (const testId of readouts) await expect(page.getByTestId(testId)).toBeVisible()
  await expect(button(page, 'Runs and charts')).toBeVisible()
})

test('there is one “New chat”', async ({ page }) => {
  await openDemo(page)
  await expect(page.getByRole('navigation', { name: 'Chats' })).toBeVisible()
  await expect(button(page, 'New chat')).toHaveCount(1)
})

test('a failed load is told in the user’s words, with another model to choose; the developer’s words are folded', async ({
  page,
}) => {
  await openDemo(page, 'device=wasm&model=./models/no-such-model/')
  const alert = page.getByRole('alert')
  await expect(alert).toContainText('The model was not found. Check its name or address.')
  await expect(alert.getByText('model-not-found')).toBeHidden()
  await alert.getByText('Details for developers').click()
  await expect(alert.getByText('model-not-found')).toBeVisible()
  await button(page, 'Choose another model').click()
  await expect(page.getByRole('dialog', { name: 'Models' })).toBeVisible()
})
