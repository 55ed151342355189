// The page is cross-origin isolated, so WebAssembly can use threads.
import { expect, test } from '@playwright/test'
import { loadEngine, openBarePage, streamAnswer } from './bare-page.js'

test('onnx() runs on several threads (injected: eight processors)', async ({ page }) => {
  await page.route(/\.js$/, async (route) => {
    const response = await route.fetch()
    const claim = "Object.defineProperty(navigator, 'hardwareConcurrency', { value: 8 });"
    await route.fulfill({ response, body: claim + (await response.text()) })
  })
  await openBarePage(page)
  const engine = await loadEngine(page, 'wasm')
  expect(await engine.evaluate(({ info }) => info.deviceDescription)).toMatch(/CPU, [2-8] threads/)
  const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 8 })
  expect(result.usage.completionTokens).toBe(8)
})
