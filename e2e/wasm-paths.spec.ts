// ONNX Runtime's WebAssembly from where the page says it is.
import { fileURLToPath } from 'node:url'
import { expect, test, type Page } from '@playwright/test'
import type { OnnxWasmPaths } from 'rivulet/onnx'
import { openBarePage, streamAnswer, type SeenError } from './bare-page.js'

const dist = fileURLToPath(new URL('../node_modules/onnxruntime-web/dist/', import.meta.url))

/** The page without the files that its bundler has put there, and with others. @returns those that were asked for */
async function moveWasm(page: Page): Promise<string[]> {
  const asked: string[] = []
  const context = page.context()
  await context.route('**/assets/*.wasm', (route) => route.fulfill({ status: 404 }))
  await context.route('**/moved/*', (route) => {
    const { pathname } = new URL(route.request().url())
    asked.push(pathname)
    const file = pathname === '/moved/cpu' ? 'ort-wasm-simd-threaded.wasm' : pathname.replace('/moved/', '')
    return route.fulfill({
      path: dist + file,
      headers: { 'content-type': 'application/wasm', 'cross-origin-resource-policy': 'same-origin' },
    })
  })
  await openBarePage(page)
  return asked
}

for (const [device, wasmPaths, file] of [
  ['wasm', './moved', '/moved/ort-wasm-simd-threaded.wasm'],
  ['wasm', { wasm: './moved/cpu' }, '/moved/cpu'],
] as const satisfies readonly (readonly ['wasm', OnnxWasmPaths, string])[]) {
  test(`onnx() on ${device} runs with its WebAssembly from ${file}`, async ({ page }) => {
    const asked = await moveWasm(page)
    const engine = await page.evaluateHandle(
      ({ device, wasmPaths }) => {
        const { createEngine, onnx } = window.rivulet
        return createEngine({ backend: onnx({ device, wasmPaths }), model: './models/stories/' })
      },
      { device, wasmPaths },
    )
    const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
    expect(result.text).not.toBe('')
    expect(asked).toContain(file)
  })
}

test('onnx() on WebGPU asks for its own WebAssembly there', async ({ page }) => {
  const asked = await moveWasm(page)
  await page.evaluate(() => {
    const { createEngine, onnx } = window.rivulet
    const backend = onnx({ device: 'webgpu', wasmPaths: './moved/' })
    // Its shaders would take a software adapter half a minute.
    createEngine({ backend, model: './models/stories/' }).catch(() => {})
  })
  await expect.poll(() => asked).toContain('/moved/ort-wasm-simd-threaded.asyncify.wasm')
})

test('WebAssembly that is not there ends the load with an error that names the option', async ({ page }) => {
  await moveWasm(page)
  const error = await page.evaluate(async () => {
    const { createEngine, onnx } = window.rivulet
    try {
      await createEngine({ backend: onnx({ device: 'wasm' }), model: './models/stories/' })
      return undefined
    } catch (error) {
      const { code, message } = error as SeenError
      return { code, message }
    }
  })
  expect(error).toMatchObject({ code: 'backend-unavailable', message: /wasmPaths/ })
})
