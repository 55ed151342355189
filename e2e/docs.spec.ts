// The examples of the documentation run in a page, unchanged. docs/examples.test.ts compiles them.
import { expect, test } from '@playwright/test'
import { nameFile, serveExamples, writeExamples } from './docs/examples-site.js'
import { readAllExamples } from './docs/read-examples.js'
import { standInForHub, weightsSha256 } from './docs/stand-in-hub.js'
import { startFakeServer, type FakeServer } from './fake-server.js'

const examples = readAllExamples()

/** The models that the examples request from the server. */
const served = ['HuggingFaceTB/SmolLM2-1.7B-Instruct', 'served-model']

let site: Awaited<ReturnType<typeof serveExamples>>
let server: FakeServer

test.beforeAll(async () => {
  writeExamples(examples)
  server = await startFakeServer()
  site = await serveExamples()
})

test.afterAll(async () => {
  server?.close()
  await site?.close()
})

for (const example of examples.filter(({ isRun }) => isRun)) {
  // Each takes seconds, and all are compiled in the unit tests. What a new user runs first is tested each time.
  const tag = /^(README|docs\/guides\/first-steps)/.test(example.name) ? [] : '@soak'
  test(
    `${example.name} runs, with stand-ins for the hub and the server`,
    { tag },
    async ({ page, context }) => {
      const failures: string[] = []
      page.on('pageerror', ({ message }) => failures.push(message))
      await standInForHub(context)
      await context.route('https://llm.example.com/v1/models', (route) =>
        route.fulfill({ json: { data: served.map((id) => ({ id })) } }),
      )
      await context.route('https://llm.example.com/v1/chat/**', async (route) => {
        const url = route.request().url().replace('https://llm.example.com/v1', server.url)
        await route.fulfill({ response: await route.fetch({ url }) })
      })
      await page.goto(site.url)
      await page.waitForFunction(() => 'runExample' in window)
      const needsEngine = /\bengine\b/.test(example.code) && !/const engine\b/.test(example.code)
      const setup = { needsEngine, weightsSha256 }
      await page.evaluate(({ file, setup }) => window.runExample(file, setup), {
        file: nameFile(example),
        setup,
      })
      expect(failures).toEqual([])
      // An example that appends in an event listener appends nothing until the event.
      if (/document\.body\.append/.test(example.code) && !/\.onchange =/.test(example.code)) {
        expect((await page.locator('body').innerText()).trim()).not.toBe('')
      }
    },
  )
}
