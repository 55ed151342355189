// Pages with a strict content security policy, which allows only what the runtimes need.
import { expect, test as base, type Page } from '@playwright/test'
import { streamAnswer } from './bare-page.js'
import { barePageUrl } from './ports.js'
import { collectReports, type PolicyReports } from './policy-reports.js'

const test = base.extend<{ readonly reports: PolicyReports }>({
  reports: async ({ page }, use) => use(await collectReports(page)),
})

const strict = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
]

/** Opens the page that contains only the library under a policy, which applies to its workers too. */
async function openUnder(page: Page, policy: readonly string[], { directive }: PolicyReports): Promise<void> {
  await page.route(/\.(html|js)$/, async (route) => {
    const response = await route.fetch()
    const headers = { ...response.headers(), 'content-security-policy': [...policy, directive].join('; ') }
    await route.fulfill({ response, headers })
  })
  await page.goto(`${barePageUrl}strict.html`)
  await page.waitForFunction(() => 'rivulet' in window)
}

test('violations by the page and by its worker are reported', async ({ page, reports }) => {
  const withoutWasm = strict.map((each) => each.replace(" 'wasm-unsafe-eval'", ''))
  await openUnder(page, [...withoutWasm, "worker-src 'self'"], reports)
  const load = page.evaluate(async () => {
    const { createEngine, onnx } = window.rivulet
    await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
  })
  await expect(load).rejects.toThrow(/wasm/i)
  await page.evaluate(() =>
    document.body.append(Object.assign(document.createElement('script'), { text: '1' })),
  )
  const violations = await reports.readViolations()
  expect(violations).toContainEqual(
    expect.objectContaining({ 'effective-directive': 'script-src', 'blocked-uri': 'wasm-eval' }),
  )
  expect(violations).toContainEqual(
    expect.objectContaining({ 'effective-directive': 'script-src-elem', 'blocked-uri': 'inline' }),
  )
})

for (const device of ['wasm', 'webgpu'] as const) {
  // A software adapter compiles the shaders for half a minute.
  const tag = device === 'webgpu' ? '@soak' : []
  test(
    `onnx() runs on ${device} under a strict policy, without a violation`,
    { tag },
    async ({ page, reports }) => {
      await openUnder(page, [...strict, "worker-src 'self'"], reports)
      const engine = await page.evaluateHandle((device) => {
        const { createEngine, onnx } = window.rivulet
        return createEngine({ backend: onnx({ device }), model: './models/stories/' })
      }, device)
      const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
      expect(result.text).not.toBe('')
      expect(await reports.readViolations()).toEqual([])
    },
  )
}

/** wllama's worker and its WebAssembly are blobs. */
const allowBlobs = [
  ...strict.map((each) => each.replace("connect-src 'self'", "connect-src 'self' blob:")),
  "worker-src 'self' blob:",
]

test('llamaCpp() runs under a strict policy that also allows blobs for its worker and WebAssembly', async ({
  page,
  reports,
}) => {
  await openUnder(page, allowBlobs, reports)
  const engine = await page.evaluateHandle(() => {
    const { createEngine, llamaCpp } = window.rivulet
    return createEngine({ backend: llamaCpp(), model: './models/stories.gguf' })
  })
  const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
  expect(result.text).not.toBe('')
  expect(await reports.readViolations()).toEqual([])
})

for (const directive of ['worker-src', 'connect-src']) {
  test(`llamaCpp() fails without blobs in ${directive}, and the error names the directive`, async ({
    page,
    reports,
  }) => {
    const policy = allowBlobs.map((each) => (each.startsWith(directive) ? each.replace(' blob:', '') : each))
    await openUnder(page, policy, reports)
    const message = await page.evaluate(async () => {
      const { createEngine, llamaCpp } = window.rivulet
      return createEngine({ backend: llamaCpp(), model: './models/stories.gguf' }).then(
        () => 'loaded',
        (error: Error) => error.message,
      )
    })
    expect(message).toContain(`${directive} blob:`)
    expect(await reports.readViolations()).toContainEqual(
      expect.objectContaining({ 'effective-directive': directive, 'blocked-uri': 'blob' }),
    )
  })
}
