// WebGPU with 16-bit floats and subgroups, which most graphics cards have and SwiftShader does not: on Mesa's lavapipe.
import { readFileSync } from 'node:fs'
import { expect, test, type Page } from '@playwright/test'
import { chooseLavapipe } from '../scripts/lavapipe.mjs'
import { convertToFloat16 } from '../workers/onnx/float16-model.test-support.js'
import { withoutJspi, withoutMemory64 } from './page/old-browser.js'
import { embeddedModel, loadEngine, openBarePage, streamAnswer, type Streamed } from './bare-page.js'

const stories = 'demo/public/models/stories'
const float16Model = './models/stories-float16/'
const graphFile = 'onnx/model_fp16.onnx'
/**
 * Long enough for the kernels that compute 32 or more tokens at a time. 16-bit floats may choose another token where two logits
 * are almost equal. In this answer, the likeliest token always leads by 0.16 logits or more.
 */
const prompt = [
  { role: 'user', content: 'Tell me a story about a ball.' },
  { role: 'assistant', content: 'Once upon a time, there was a boy named Tim. He had a red ball and a dog.' },
  { role: 'user', content: 'Tell me a story about a girl named Lily.' },
] as const
const options = { temperature: 0, maxTokens: 48 }

function expectSameAnswer({ result, tokenIds }: Streamed, expected: Streamed): void {
  expect(tokenIds).toEqual(expected.tokenIds)
  expect(result).toMatchObject({ text: expected.result.text, finishReason: expected.result.finishReason })
}

const lavapipe = chooseLavapipe()
test.skip('unavailable' in lavapipe, 'unavailable' in lavapipe ? lavapipe.unavailable : '')
// A first load compiles the shaders with LLVM.
test.setTimeout(600_000)

test('onnx() streams the same answer with 16-bit floats on WebGPU as with 32-bit floats on WASM', async ({
  page,
}) => {
  await page.context().route(/\/models\/stories-float16\//, async (route) => {
    const [, path = ''] = new URL(route.request().url()).pathname.split('/stories-float16/')
    if (path === graphFile) {
      const graph = convertToFloat16(new Uint8Array(readFileSync(`${stories}/onnx/model_quantized.onnx`)))
      return route.fulfill({ body: Buffer.from(graph), contentType: 'application/octet-stream' })
    }
    return path.startsWith('onnx/')
      ? route.fulfill({ status: 404 })
      : route.fulfill({ path: `${stories}/${path}` })
  })
  await openBarePage(page)
  const reference = await loadEngine(page, 'wasm', embeddedModel)
  const expected = await streamAnswer(reference, prompt, options)
  expect(expected.result.usage.promptTokens).toBeGreaterThan(32)
  await reference.evaluate((engine) => engine.dispose())

  const engine = await loadEngine(page, 'webgpu', float16Model)
  expect(await engine.evaluate(({ info }) => info)).toMatchObject({
    device: 'webgpu',
    dtype: 'fp16',
    execution: 'replayed',
  })
  expectSameAnswer(await streamAnswer(engine, prompt, options), expected)
  // The cache holds the whole conversation.
  const again = await streamAnswer(engine, prompt, options)
  expect(again.result.usage.cachedPromptTokens).toBeGreaterThan(32)
  expectSameAnswer(again, expected)
})

/** Compares the answers on both devices. `worker` names the features that the worker's browser lacks. */
async function compareLlamaCpp(page: Page, worker: string): Promise<void> {
  await openBarePage(page)
  const answers: Streamed[] = []
  for (const device of ['wasm', 'webgpu'] as const) {
    const engine = await page.evaluateHandle(
      ({ device, worker }) => {
        const { createEngine, llamaCpp, llamaCppCompat } = window.rivulet
        const createWorker = () => window.createLlamaCppWorker(worker)
        const options = { device, threads: 1, worker: createWorker, compat: llamaCppCompat }
        return createEngine({ backend: llamaCpp(options), model: './models/stories.gguf' })
      },
      { device, worker },
    )
    expect(await engine.evaluate(({ info }) => info.device)).toBe(device)
    answers.push(await streamAnswer(engine, prompt, options))
    await engine.evaluate((engine) => engine.dispose())
  }
  const [expected, actual] = answers
  expectSameAnswer(actual!, expected!)
}

test('llamaCpp() streams the same answer on WebGPU as on WASM', ({ page }) =>
  compareLlamaCpp(page, 'llama-cpp'))

test('so does its compatibility build (injected: no JSPI, no 64-bit memories)', ({ page }) =>
  compareLlamaCpp(page, `${withoutJspi} ${withoutMemory64}`))
