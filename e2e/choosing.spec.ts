// Which backend of a list is taken, and why the others were not.
import { expect, test } from '@playwright/test'
import { openBarePage, type SeenError } from './bare-page.js'

test.beforeEach(({ page }) => openBarePage(page))

test('without a real GPU llamaCpp() is taken before onnx(), which says that it would be slow', async ({
  page,
}) => {
  const seen = await page.evaluate(async () => {
    const { availability, createEngine, llamaCpp, onnx, remote } = window.rivulet
    const backends = [
      onnx({ model: './models/stories/' }),
      llamaCpp({ model: './models/stories.gguf' }),
      remote({ baseURL: 'http://localhost:1/v1', model: 'none' }),
    ]
    const engine = await createEngine({ backend: backends })
    const { text } = await engine.generate('Tell me a story.', { maxTokens: 4 }).result
    return {
      info: engine.info,
      skipped: engine.skipped,
      text,
      found: (await availability(...backends)).backends,
    }
  })
  expect(seen.info).toMatchObject({ backend: 'llama-cpp', device: 'wasm' })
  expect(seen.skipped).toEqual([])
  expect(seen.text).not.toBe('')
  expect(seen.found).toMatchObject([
    { name: 'onnx', isAvailable: true, isSlow: true },
    { name: 'llama-cpp', isAvailable: true, isSlow: false },
    { name: 'remote', isAvailable: true, isSlow: false },
  ])
})

test('onnx() on the CPU is taken before a server, where nothing local is faster', async ({ page }) => {
  const info = await page.evaluate(async () => {
    const { createEngine, onnx, remote } = window.rivulet
    const backend = [onnx(), remote({ baseURL: 'http://localhost:1/v1', model: 'none' })]
    return (await createEngine({ backend, model: './models/stories/' })).info
  })
  expect(info).toMatchObject({ backend: 'onnx', device: 'wasm' })
})

test('a backend that cannot load its model gives way to the next, and the engine tells why', async ({
  page,
}) => {
  const seen = await page.evaluate(async () => {
    const { createEngine, llamaCpp, onnx } = window.rivulet
    const backend = [
      llamaCpp({ model: './models/missing.gguf' }),
      onnx({ device: 'wasm', model: './models/stories/' }),
    ]
    const engine = await createEngine({ backend })
    return { backend: engine.info.backend, skipped: engine.skipped }
  })
  expect(seen).toEqual({
    backend: 'onnx',
    skipped: [{ name: 'llama-cpp', reason: expect.stringContaining('missing.gguf') }],
  })
})

test('where none can, the error has all reasons; alone, a backend fails with its own', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { createEngine, llamaCpp, onnx } = window.rivulet
    const fail = async (...backend: ReturnType<typeof onnx>[]) => {
      try {
        await createEngine({ backend })
        return undefined
      } catch (error) {
        const { name, code, message, text } = error as SeenError
        return { name, code, message, text }
      }
    }
    const missing = llamaCpp({ model: './models/missing.gguf' })
    return [await fail(missing, onnx({ model: './models/none/' })), await fail(missing)]
  })
  expect(seen[0]).toMatchObject({ code: 'backend-unavailable' })
  expect(seen[0]?.message).toMatch(/llama-cpp: .*missing\.gguf.*onnx: /)
  expect(seen[1]).toMatchObject({ code: 'model-not-found' })
})

test('giving up while a list is tried tries no further', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { createEngine, llamaCpp } = window.rivulet
    const abort = new AbortController()
    let workers = 0
    const backend = [1, 2].map(() =>
      llamaCpp({
        model: './models/stories.gguf',
        worker: () => {
          workers += 1
          return window.createLlamaCppWorker()
        },
      }),
    )
    const loading = createEngine({
      backend,
      signal: abort.signal,
      onProgress: () => abort.abort(new Error('enough')),
    })
    const reason = await loading.catch((error: Error) => error.message)
    return { reason, workers }
  })
  expect(seen).toEqual({ reason: 'enough', workers: 1 })
})
