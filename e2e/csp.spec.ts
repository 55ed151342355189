// Pages that allow no more than they must: what the runtimes need of a content security policy, and nothing else.
import { expect, test, type Page } from '@playwright/test'
import { openBarePage, streamAnswer } from './bare-page.js'

const strict = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
]

/** Opens the page under a policy, which its workers get too. @returns what the browser said of it */
async function openUnder(page: Page, policy: readonly string[]): Promise<string[]> {
  const said: string[] = []
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) said.push(message.text())
  })
  await page.route(/\/$|\.js$/, async (route) => {
    const response = await route.fetch()
    const headers = { ...response.headers(), 'content-security-policy': policy.join('; ') }
    await route.fulfill({ response, headers })
  })
  await openBarePage(page)
  return said
}

for (const device of ['wasm', 'webgpu'] as const) {
  test(`onnx() runs on ${device} under a strict policy, without a violation`, async ({ page }) => {
    const said = await openUnder(page, [...strict, "worker-src 'self'"])
    const engine = await page.evaluateHandle((device) => {
      const { createEngine, onnx } = window.rivulet
      return createEngine({ backend: onnx({ device }), model: './models/stories/' })
    }, device)
    const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
    expect(result.text).not.toBe('')
    expect(said).toEqual([])
  })
}

test('llamaCpp() runs under a strict policy that also allows workers from blobs', async ({ page }) => {
  const said = await openUnder(page, [...strict, "worker-src 'self' blob:"])
  const engine = await page.evaluateHandle(() => {
    const { createEngine, llamaCpp } = window.rivulet
    return createEngine({ backend: llamaCpp(), model: './models/stories.gguf' })
  })
  const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
  expect(result.text).not.toBe('')
  expect(said).toEqual([])
})

test('llamaCpp() without that ends with an error that says so', async ({ page }) => {
  await openUnder(page, [...strict, "worker-src 'self'"])
  const message = await page.evaluate(async () => {
    const { createEngine, llamaCpp } = window.rivulet
    return createEngine({ backend: llamaCpp(), model: './models/stories.gguf' }).then(
      () => 'loaded',
      (error: Error) => error.message,
    )
  })
  expect(message).toContain('worker-src blob:')
})
