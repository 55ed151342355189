// Which backend of a list is chosen, and why the others are not.
import { expect, test } from '@playwright/test'
import { openBarePage, type SeenError } from './bare-page.js'

test.beforeEach(({ page }) => openBarePage(page))

test('without a real GPU llamaCpp() is chosen over onnx(), which reports that it would be slow', async ({
  page,
}) => {
  const seen = await page.evaluate(async () => {
    const { availability, createEngine, llamaCpp, onnx, remote } = window.rivulet
    const backends = [
      onnx({ model: './models/stories/' }),
      llamaCpp({ model: './models/stories.gguf', threads: 1 }),
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

test('onnx() on the CPU is chosen over a server if no local backend is faster', async ({ page }) => {
  const info = await page.evaluate(async () => {
    const { createEngine, onnx, remote } = window.rivulet
    const backend = [onnx(), remote({ baseURL: 'http://localhost:1/v1', model: 'none' })]
    return (await createEngine({ backend, model: './models/stories/' })).info
  })
  expect(info).toMatchObject({ backend: 'onnx', device: 'wasm' })
})

test('if a backend cannot load its model, the next one is tried, and the engine reports why', async ({
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

test('if no backend works, the error contains all reasons; a single backend fails with its own error', async ({
  page,
}) => {
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

test('cancelling while a list is tried stops at the current backend', async ({ page }) => {
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

test('webLlm() is not chosen on a software adapter, and its own worker runs the real package', async ({
  page,
}) => {
  const seen = await page.evaluate(async () => {
    const { availability, createEngine, webLlm } = window.rivulet
    const backend = webLlm({ model: 'Llama-99B' })
    const { backends } = await availability(backend)
    // Pretends that there is a GPU: the package then looks for the model.
    const forced = { ...backend, checkAvailability: () => Promise.resolve({ isAvailable: true } as const) }
    const error = await createEngine({ backend: forced }).catch((reason: SeenError) => reason)
    const { code, message } = error as SeenError
    return { reason: backends[0]?.reason, code, message }
  })
  expect(seen.reason).toContain('CPU')
  expect(seen).toMatchObject({
    code: 'model-not-found',
    message: expect.stringMatching(/Llama-99B.*Llama-3/),
  })
})
