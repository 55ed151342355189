// The demo in two tabs.
import { expect, test } from 'rivulet/playwright'
import { ask, openDemo, readAnswer, state } from './demo-page.js'

test('two tabs share one model, say so, and answer', async ({ context, page }) => {
  await openDemo(page)
  await expect(state(page, 'ready')).toBeVisible()
  const device = page.getByTestId('device')
  await expect(device).toHaveText(/threads?$/)
  const other = await context.newPage()
  await openDemo(other)
  await expect(other.getByTestId('device')).toHaveText(/ · shared with another tab$/)
  await expect(device).toHaveText(/ · shared with another tab$/)
  await Promise.all([
    ask(page, 'Tell me a story about a dragon.'),
    ask(other, 'Tell me a story about a dragon.'),
  ])
  await expect(state(page, 'generating')).toBeHidden()
  await expect(state(other, 'generating')).toBeHidden()
  for (const tab of [page, other]) expect(await readAnswer(tab)).toMatch(/\w+ \w+/)
  await other.close()
  await expect(device).toHaveText(/threads?$/)
})
