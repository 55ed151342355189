// A developer who opens the console on a healthy page sees nothing to worry about.
import { expect, test, type Page } from '@playwright/test'
import { openBarePage } from './bare-page.js'
import { isLeftSharedWorker, state } from './demo-page.js'

/** Collects errors and warnings of the console, failed requests, and answers with an error status. */
function watch(page: Page): readonly string[] {
  const alarms: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) alarms.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => alarms.push(`uncaught: ${error.message}`))
  page.on('requestfailed', (request) => {
    if (!isLeftSharedWorker(request))
      alarms.push(`failed: ${request.method()} ${request.url()} ${request.failure()?.errorText}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) alarms.push(`${response.status()}: ${response.url()}`)
  })
  return alarms
}

for (const backend of ['onnx', 'llama-cpp']) {
  test(`the demo on ${backend}: a first and a second visit leave the console empty`, async ({ page }) => {
    const alarms = watch(page)
    for (const visit of ['first', 'second']) {
      await page.goto(`./?device=wasm&backend=${backend}`)
      await expect(state(page, 'ready')).toBeVisible()
      // Requests that are cancelled late are also seen.
      await page.waitForTimeout(500)
      expect([visit, ...alarms]).toEqual([visit])
    }
  })
}

test('an app with the shipped model: a first and a second load, and a disposal, leave the console empty', async ({
  page,
}) => {
  const alarms = watch(page)
  for (const visit of ['first', 'second']) {
    await openBarePage(page)
    await page.evaluate(async () => {
      const { createEngine, onnx } = window.rivulet
      const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
      await engine.generate('Hello', { maxTokens: 3 }).text()
      await engine.dispose()
    })
    expect([visit, ...alarms]).toEqual([visit])
  }
})
