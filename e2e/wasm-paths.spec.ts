// ONNX Runtime's WebAssembly from the address that the page sets.
import { fileURLToPath } from 'node:url'
import { expect, test, type Page } from '@playwright/test'
import type { OnnxWasmPaths } from 'rivulet/onnx'
import { openBarePage, streamAnswer, type SeenError } from './bare-page.js'

const dist = fileURLToPath(new URL('../node_modules/onnxruntime-web/dist/', import.meta.url))

/** Opens the page without its bundler's WebAssembly files, and with other ones. @returns the requested paths */
async function moveWasm(page: Page): Promise<string[]> {
  const requested: string[] = []
  const context = page.context()
  await context.route('**/assets/*.wasm', (route) => route.fulfill({ status: 404 }))
  await context.route('**/moved/*', (route) => {
    const { pathname } = new URL(route.request().url())
    requested.push(pathname)
    const file = pathname === '/moved/cpu' ? 'ort-wasm-simd-threaded.wasm' : pathname.replace('/moved/', '')
    return route.fulfill({
      path: dist + file,
      headers: { 'content-type': 'application/wasm', 'cross-origin-resource-policy': 'same-origin' },
    })
  })
  await openBarePage(page)
  return requested
}

for (const [device, wasmPaths, file] of [
  ['wasm', './moved', '/moved/ort-wasm-simd-threaded.wasm'],
  ['wasm', { wasm: './moved/cpu' }, '/moved/cpu'],
] as const satisfies readonly (readonly ['wasm', OnnxWasmPaths, string])[]) {
  test(`onnx() on ${device} loads its WebAssembly from ${file}`, async ({ page }) => {
    const requested = await moveWasm(page)
    const engine = await page.evaluateHandle(
      ({ device, wasmPaths }) => {
        const { createEngine, onnx } = window.rivulet
        return createEngine({ backend: onnx({ device, wasmPaths }), model: './models/stories/' })
      },
      { device, wasmPaths },
    )
    const { result } = await streamAnswer(engine, 'Tell me a story.', { maxTokens: 4 })
    expect(result.text).not.toBe('')
    expect(requested).toContain(file)
  })
}

for (const [wasmPaths, file] of [
  ['./moved', 'ort-wasm-simd-threaded.jspi.wasm'],
  // The app serves no other file for WebGPU.
  [{ webgpu: './moved/ort-wasm-simd-threaded.asyncify.wasm' }, 'ort-wasm-simd-threaded.asyncify.wasm'],
] as const satisfies readonly (readonly [OnnxWasmPaths, string])[]) {
  test(`onnx() on WebGPU loads its WebAssembly from /moved/${file}`, async ({ page }) => {
    const requested = await moveWasm(page)
    await page.evaluate((wasmPaths) => {
      const { createEngine, onnx } = window.rivulet
      const backend = onnx({ device: 'webgpu', wasmPaths })
      // Not awaited: a software adapter needs half a minute for the shaders.
      createEngine({ backend, model: './models/stories/' }).catch(() => {})
    }, wasmPaths)
    await expect.poll(() => requested).toContain(`/moved/${file}`)
  })
}

test('if the WebAssembly is missing, loading fails with an error that names the option', async ({ page }) => {
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
