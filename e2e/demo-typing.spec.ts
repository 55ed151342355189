// The built demo computes the conversation while the user types the next message.
import type { Page } from '@playwright/test'
import { expect, test } from 'rivulet/playwright'
import { answers, ask, openDemo, state } from './demo-page.js'

test.use({ serviceWorkers: 'block' })

const readNumber = async (page: Page, testId: string) => {
  const text = await page.getByTestId(testId).first().textContent()
  return Number(/[\d.]+/.exec((text ?? '').replaceAll(',', ''))?.[0])
}

/** Waits for the answer's end, and reads its figures. */
async function readFigures(page: Page) {
  await expect(state(page, 'generating')).toHaveCount(0)
  await expect(answers(page).last()).toHaveText(/\w+ \w+ \w+/)
  return { cached: await readNumber(page, 'cached') }
}

test(
  'after a reload, the conversation is computed while the user types the next message',
  { tag: '@soak' },
  async ({ page }) => {
    test.setTimeout(120_000)
    await openDemo(page)
    await ask(page, 'Tell me a story about a dragon and a cat who live in a forest. '.repeat(12))
    await readFigures(page)
    await page.reload()
    // Sent at once: nothing is computed ahead.
    await ask(page, 'Go on.')
    const sentAtOnce = await readFigures(page)
    await page.reload()
    await expect(state(page, 'ready')).toBeVisible()
    const field = page.getByRole('textbox', { name: 'Message' })
    await field.pressSequentially('Go on, please.', { delay: 20 })
    // As long as a user reads the message again.
    await page.waitForTimeout(5000)
    await field.press('Enter')
    const typed = await readFigures(page)
    expect(sentAtOnce.cached).toBeLessThan(40)
    expect(typed.cached).toBeGreaterThan(100)
  },
)
