import { expect, test } from 'rivulet/playwright'

test('the answer streams into the page, and can be stopped', async ({ page, rivulet }) => {
  // Whatever model of a hub the page asks for, the embedded one answers, without the network.
  await rivulet.serveStories()
  await page.goto('/?model=my-team/my-model&device=wasm')
  await rivulet.waitForEngine()

  // Before the key that begins it.
  const stream = rivulet.nextStream()
  await page.getByRole('textbox', { name: 'Message' }).fill('Tell me a story about a dragon.')
  await page.keyboard.press('Enter')
  await expect(stream).toHaveStreamed(/\w+ \w+ \w+/, { timeToFirstTokenBudgetMs: 1000 })

  await page.keyboard.press('Escape')
  const { text, finishReason, latency } = await stream.result
  expect(finishReason).toBe('cancelled')
  expect(latency.totalMs).toBeGreaterThan(stream.chunks[0]!.arrivedMs)
  await expect(page.getByTestId('answer')).toHaveText(text.trim())
})
