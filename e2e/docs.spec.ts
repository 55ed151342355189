// The examples of the documentation: compiled as an app would be, and run in a page as they are printed.
import { expect, test } from '@playwright/test'
import { checkTypes, nameFile, serveExamples, writeExamples } from './docs/examples-site.js'
import { readAllExamples, readExamples } from './docs/read-examples.js'
import { standInForHub, weightsSha256 } from './docs/stand-in-hub.js'
import { startFakeServer, type FakeServer } from './fake-server.js'

const examples = readAllExamples()

/** The documents with an example that cannot run in a page, and why. */
const notRun: Readonly<Record<string, string>> = {
  'docs/guides/moving-from-webllm.md': "WebLLM's compiled models cannot be had where the tests run",
  'docs/guides/security-headers.md': "a build's configuration: it runs in Node",
  'docs/guides/testing.md': 'a test and its configuration, which run beside this one',
}

/** The models that the examples ask the server for. */
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

test('every example compiles against the package', () => {
  expect(checkTypes()).toBe('')
})

test('an example that does not compile is found, by its line in the document', () => {
  const broken = ['# Title', '', '```ts', "import { createEngine } from 'rivulet'", 'createEngin()', '```']
  writeExamples(readExamples('guide.md', broken.join('\n')), '.cache/docs-broken')
  expect(checkTypes('.cache/docs-broken')).toMatch(/guide\.md\.4\.ts\(5,1\): error TS2552/)
})

test('an example is read as it is printed; what is not known is refused', () => {
  const read = (...lines: string[]) => readExamples('guide.md', lines.join('\n'))
  expect(read('```sh', 'npm start', '```', '', '```ts', 'const a = 1', '', 'a', '```')).toEqual([
    { name: 'guide.md:6', line: 6, code: 'const a = 1\n\na', isRun: true },
  ])
  expect(read('```ts no-run', 'a', '```')).toMatchObject([{ isRun: false }])
  expect(read('```ts unchecked', 'a', '```')).toEqual([])
  expect(() => read('```ts norun', 'a', '```')).toThrow('guide.md:1: "ts norun" is not known')
  expect(() => read('```ts', 'a')).toThrow('guide.md:1: this block does not end')
})

test('what is marked "no-run" is listed here, with why', () => {
  const marked = new Set(examples.filter(({ isRun }) => !isRun).map(({ name }) => name.replace(/:\d+$/, '')))
  expect([...marked].toSorted()).toEqual(Object.keys(notRun).toSorted())
})

for (const example of examples.filter(({ isRun }) => isRun)) {
  test(`${example.name} runs, with stand-ins for the hub and the server`, async ({ page, context }) => {
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
    const given = { needsEngine, weightsSha256 }
    await page.evaluate(({ file, given }) => window.runExample(file, given), {
      file: nameFile(example),
      given,
    })
    expect(failures).toEqual([])
    // What a handler of an event appends waits for its event.
    if (/document\.body\.append/.test(example.code) && !/\.onchange =/.test(example.code)) {
      expect((await page.locator('body').innerText()).trim()).not.toBe('')
    }
  })
}
