// Prefixes that are kept in the model store, across reloads of a real page.
import { expect, test, type Page } from '@playwright/test'
import { openBarePage, type Device } from './bare-page.js'

const question = 'Tell me a story about a dragon and a cat who live in a forest. '.repeat(4)

interface Asked {
  readonly device: Device
  readonly keepPrefix: boolean
  readonly maxTokens?: number
  readonly model?: string
}

/** Loads an engine, computes the prompt ahead if it is to be kept, and answers it. */
function ask(page: Page, { device, keepPrefix, maxTokens = 12, model = './models/stories/' }: Asked) {
  return page.evaluate(
    async ({ device, keepPrefix, maxTokens, model, question }) => {
      const { createEngine, onnx, store } = window.rivulet
      const engine = await createEngine({ backend: onnx({ device }), model })
      const kept = keepPrefix ? await engine.prefill(question, { keepPrefix }) : undefined
      const { text, usage } = await engine.generate(question, { temperature: 0, maxTokens }).result
      await engine.dispose()
      return { kept, text, usage, stored: await store.list(), location: store.locate(model) }
    },
    { device, keepPrefix, maxTokens, model, question },
  )
}

async function reload(page: Page): Promise<Page> {
  await page.reload()
  return openBarePage(page)
}

async function testReload(page: Page, device: Device): Promise<void> {
  await openBarePage(page)
  const { kept, stored, text } = await ask(page, { device, keepPrefix: true })
  expect(kept).toEqual({ isComplete: true, isKept: true, sizeBytes: expect.any(Number) })
  expect(stored).toMatchObject([{ prefixBytes: kept!.sizeBytes }])
  await reload(page)
  const warm = await ask(page, { device, keepPrefix: false })
  expect(warm.usage.cachedPromptTokens).toBe(warm.usage.promptTokens - 1)
  expect(warm.text).toBe(text)
}

test('a kept prefix is used after a reload on wasm, with the same text, and removed with its model', async ({
  page,
}) => {
  await testReload(page, 'wasm')
  const left = await page.evaluate(async () => {
    await window.rivulet.store.remove('./models/stories/')
    const root = await navigator.storage.getDirectory()
    const prefixes = await root.getDirectoryHandle('rivulet-prefixes')
    const names: string[] = []
    for await (const name of prefixes.keys()) names.push(name)
    return names
  })
  expect(left).toEqual([])
})

test(
  'a kept prefix is used after a reload on webgpu, with the same text',
  { tag: '@soak' },
  async ({ page }) => {
    test.setTimeout(300_000)
    await testReload(page, 'webgpu')
    const left = await page.evaluate(async () => {
      const { store } = window.rivulet
      const model = './models/stories/'
      const removed = await store.removePrefixes(model)
      const [stored] = await store.list()
      const again = await store.removePrefixes(model)
      return { removed, prefixBytes: stored!.prefixBytes, isComplete: stored!.isComplete, again }
    })
    expect(left).toEqual({ removed: true, prefixBytes: 0, isComplete: true, again: false })
  },
)

test('a damaged prefix is removed, and the answer is the same', { tag: '@soak' }, async ({ page }) => {
  await openBarePage(page)
  const { text } = await ask(page, { device: 'wasm', keepPrefix: true })
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory()
    let directory = await root.getDirectoryHandle('rivulet-prefixes')
    // The model's directory, and then the prefix's.
    for (const _ of [1, 2])
      for await (const name of directory.keys()) {
        directory = await directory.getDirectoryHandle(name)
        break
      }
    const file = await directory.getFileHandle('0')
    const writer = await file.createWritable({ keepExistingData: true })
    await writer.write({ type: 'write', position: 5000, data: Uint8Array.of(1, 2, 3, 4) })
    await writer.close()
  })
  await reload(page)
  const again = await ask(page, { device: 'wasm', keepPrefix: false })
  expect(again.usage.cachedPromptTokens).toBeLessThan(32)
  expect(again.text).toBe(text)
  expect(again.stored).toMatchObject([{ prefixBytes: 0 }])
})

test('an answer interrupts the keeping of a prefix', async ({ page }) => {
  await openBarePage(page)
  const seen = await page.evaluate(async (question) => {
    const { createEngine, onnx, store } = window.rivulet
    const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
    const keeping = engine.prefill(question, { keepPrefix: true })
    const text = await engine.generate('Tell me a story.', { temperature: 0, maxTokens: 3 }).text()
    const kept = await keeping
    await engine.dispose()
    return { kept, text, stored: await store.list() }
  }, question)
  expect(seen.kept).toEqual({
    isComplete: false,
    isKept: false,
    reason: expect.stringMatching(/interrupted/),
  })
  expect(seen.text).toMatch(/./)
  expect(seen.stored).toMatchObject([{ prefixBytes: 0 }])
})

test('backends that cannot keep prefixes refuse the option by name', async ({ page }) => {
  await openBarePage(page)
  const error = await page.evaluate(async () => {
    const { createEngine, llamaCpp } = window.rivulet
    const engine = await createEngine({ backend: llamaCpp(), model: './models/stories.gguf' })
    const keeps = engine.info.supports.keptPrefixes
    const reason: unknown = await engine.prefill('A story.', { keepPrefix: true }).catch((thrown) => thrown)
    await engine.dispose()
    const { code, message } = reason as { readonly code: string; readonly message: string }
    return { keeps, code, message }
  })
  expect(error).toMatchObject({ keeps: false, code: 'invalid-option' })
  expect(error.message).toMatch(/llama-cpp cannot keep prefixes/)
})
