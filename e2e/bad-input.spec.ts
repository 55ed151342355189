import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions, Prompt } from 'rivulet'
import {
  embeddedModel,
  loadBrokenModel,
  loadEngine,
  openBarePage,
  streamAnswer,
  type SeenError,
} from './bare-page.js'

const graphFile = '**/model_quantized.onnx'

test.describe('a model that cannot be loaded', () => {
  test.beforeEach(async ({ page }) => {
    await openBarePage(page)
  })

  test('the error names a folder that does not exist', async ({ page }) => {
    const error = await loadBrokenModel(page, './models/no-such-model/')
    expect(error).toMatchObject({ name: 'RivuletError', code: 'model-not-found' })
    expect(error?.message).toMatch(/no-such-model\/ has no config\.json/)
  })

  test('the error names a host that cannot be reached', async ({ page }) => {
    const error = await loadBrokenModel(page, 'http://localhost:9/models/stories/')
    expect(error).toMatchObject({ code: 'download-failed', message: /localhost:9/ })
  })

  test('a name that is not a model is refused before any request', async ({ page }) => {
    const error = await loadBrokenModel(page, 'stories')
    expect(error).toMatchObject({ code: 'invalid-option', message: /"stories" is not a model/ })
  })

  test('unknown and invalid options of createEngine are refused by name', async ({ page }) => {
    const messages = await page.evaluate(async (model) => {
      const { createEngine, onnx } = window.rivulet
      const attempts: unknown[] = [
        { backend: onnx(), modle: model },
        { model },
        { backend: [onnx(), 'onnx'], model },
        { backend: onnx() },
        { backend: onnx(), model, onProgress: true },
        { backend: onnx(), model, signal: 'stop' },
      ]
      const describe = ({ code, message }: SeenError) => `${code}: ${message}`
      return Promise.all(
        attempts.map((options) => createEngine(options as never).then(() => 'created', describe)),
      )
    }, embeddedModel)
    const named = ['"modle"', '"backend"', '"backend"', '"model"', '"onProgress"', '"signal"']
    for (const [index, name] of named.entries()) expect(messages[index]).toContain(name)
    for (const message of messages) expect(message).toMatch(/^invalid-option: /)
  })

  for (const file of ['config.json', 'tokenizer.json']) {
    test(`a folder without ${file} is refused`, async ({ page }) => {
      await page.context().route(`**/${file}`, (route) => route.fulfill({ status: 404 }))
      const error = await loadBrokenModel(page, embeddedModel)
      expect(error).toMatchObject({ code: 'model-not-found', message: new RegExp(file) })
    })

    test(`a broken ${file} is refused`, async ({ page }) => {
      await page.context().route(`**/${file}`, (route) => route.fulfill({ body: '{"model":' }))
      const error = await loadBrokenModel(page, embeddedModel)
      expect(error).toMatchObject({ code: 'model-invalid', message: new RegExp(file) })
    })
  }

  test('a file counts as missing if the server sends a web page instead', async ({ page }) => {
    await page
      .context()
      .route('**/config.json', (route) =>
        route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }),
      )
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({ code: 'model-not-found' })
  })

  test('a folder without weights is refused, and the error lists the expected files', async ({ page }) => {
    await page.context().route(graphFile, (route) => route.fulfill({ status: 404 }))
    const error = await loadBrokenModel(page, embeddedModel)
    expect(error).toMatchObject({
      code: 'model-not-found',
      message: /model_q4\.onnx, onnx\/model_quantized\.onnx/,
    })
  })

  test('weights that are not an ONNX file are refused', async ({ page }) => {
    await page.context().route(graphFile, (route) => route.fulfill({ body: 'version https://git-lfs' }))
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({ code: 'model-invalid' })
  })

  test('weights cut in half are refused', async ({ page }) => {
    await page.context().route(graphFile, async (route) => {
      const body = await (await route.fetch()).body()
      await route.fulfill({ body: body.subarray(0, body.length / 2) })
    })
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({ code: 'model-invalid' })
  })

  test('a server error is distinguished from a missing file', async ({ page }) => {
    await page.context().route(graphFile, (route) => route.fulfill({ status: 503 }))
    const error = await loadBrokenModel(page, embeddedModel)
    expect(error).toMatchObject({ code: 'download-failed', message: /503/ })
  })

  test('loading can be cancelled', async ({ page }) => {
    const reason = await page.evaluate(async (model) => {
      const { createEngine, onnx } = window.rivulet
      const abort = new AbortController()
      const onProgress = () => abort.abort(new Error('changed my mind'))
      const loading = createEngine({
        backend: onnx({ device: 'wasm' }),
        model,
        onProgress,
        signal: abort.signal,
      })
      return loading.then(() => 'loaded', String)
    }, embeddedModel)
    expect(reason).toBe('Error: changed my mind')
  })

  test('a worker that cannot be loaded fails the engine', async ({ page }) => {
    await page.context().route('**/onnx.worker-*.js', (route) => route.fulfill({ status: 404 }))
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({
      code: 'worker-failed',
      message: /`worker`/,
    })
  })

  test('the next attempt works after the cause is gone', async ({ page }) => {
    await page.context().route(graphFile, (route) => route.fulfill({ status: 404 }), { times: 1 })
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({ code: 'model-not-found' })
    expect(await loadBrokenModel(page, embeddedModel)).toBeUndefined()
  })
})

test.describe('a browser with a missing feature', () => {
  test('without WebGPU the device "webgpu" is refused, and onnx() is still available', async ({ page }) => {
    await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'))
    await openBarePage(page)
    const error = await loadBrokenModel(page, embeddedModel, 'webgpu')
    expect(error).toMatchObject({ code: 'backend-unavailable', message: /no WebGPU/ })
    const availability = await page.evaluate(() => window.rivulet.availability(window.rivulet.onnx()))
    expect(availability).toMatchObject({
      webgpu: { unavailable: /no WebGPU/ },
      backends: [{ isAvailable: true }],
    })
  })

  test('without WebAssembly no backend runs, and the error says why', async ({ page }) => {
    await page.addInitScript(() => Reflect.deleteProperty(globalThis, 'WebAssembly'))
    await openBarePage(page)
    expect(await loadBrokenModel(page, embeddedModel)).toMatchObject({
      code: 'backend-unavailable',
      message: /No backend can run here\. onnx: WebAssembly is off/,
    })
  })

  test('the automatic choice does not pick a software adapter', async ({ page }) => {
    test.skip(process.env.RIVULET_GPU === 'hardware', 'This machine has a graphics card.')
    await openBarePage(page)
    const device = await page.evaluate(async (model) => {
      const { createEngine, onnx } = window.rivulet
      const engine = await createEngine({ backend: onnx(), model })
      await engine.dispose()
      return engine.info.device
    }, embeddedModel)
    expect(device).toBe('wasm')
  })
})

test.describe('a request that cannot be answered', () => {
  let page: Page
  let engine: JSHandle<Engine>

  test.beforeAll(async ({ browser }) => {
    page = await openBarePage(await browser.newPage())
    engine = await loadEngine(page, 'wasm')
  })

  test.afterEach(async () => {
    const { result } = await streamAnswer(engine, 'Hello!', { temperature: 0, maxTokens: 2 })
    expect(result.text, 'the engine is still usable').toBe('Once upon')
  })

  test.afterAll(() => page.close())

  function failToAnswer(prompt: unknown, options: unknown): Promise<SeenError> {
    return engine.evaluate(
      async (engine, { prompt, options }) => {
        try {
          await engine.generate(prompt as Prompt, options as GenerateOptions).text()
          throw new Error('The request was answered.')
        } catch (error) {
          const { name, code, message, text } = error as SeenError
          return { name, code, message, text }
        }
      },
      { prompt, options },
    )
  }

  const requests: Record<string, { prompt?: unknown; options?: unknown; message: RegExp }> = {
    'a negative temperature': { options: { temperature: -1 }, message: /"temperature".*from 0.*got -1/ },
    'a limit of zero tokens': { options: { maxTokens: 0 }, message: /"maxTokens".*from 1.*got 0/ },
    'an unknown option': { options: { temprature: 1 }, message: /no option "temprature"/ },
    'an empty prompt': { prompt: '', message: /prompt is empty/ },
    'an empty list of messages': { prompt: [], message: /non-empty array/ },
    'an unknown role': { prompt: [{ role: 'robot', content: 'hi' }], message: /messages\[0\]\.role/ },
  }
  for (const [name, { prompt = 'Hello!', options = {}, message }] of Object.entries(requests)) {
    test(`${name} is refused by name`, async () => {
      expect(await failToAnswer(prompt, options)).toMatchObject({
        name: 'RivuletError',
        code: 'invalid-option',
        message,
      })
    })
  }

  test('a prompt longer than the context is refused, and the error contains both lengths', async () => {
    const error = await failToAnswer('The dragon was happy. '.repeat(200), {})
    expect(error).toMatchObject({
      code: 'prompt-too-long',
      message: /has \d+ tokens, but this model's context \(prompt and answer together\) has 512/,
    })
  })

  test('an answer ends at the end of the context', async () => {
    const { result } = await streamAnswer(engine, 'The dragon was happy. '.repeat(83), { temperature: 0 })
    const { promptTokens, completionTokens } = result.usage
    expect(promptTokens).toBeLessThan(512)
    expect(promptTokens + completionTokens).toBe(512)
    expect(result.finishReason).toBe('length')
  })
})
