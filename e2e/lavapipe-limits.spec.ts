// A graphics adapter that binds at most 128 MiB of a buffer, as on many phones: Mesa's lavapipe.
import { readFileSync } from 'node:fs'
import { expect, test } from '@playwright/test'
import { chooseLavapipe } from '../scripts/lavapipe.mjs'
import { repeatVocabulary } from '../workers/onnx/wide-model.test-support.js'
import { loadEngine, openBarePage, readStoryReferences, streamAnswer } from './bare-page.js'

const stories = 'demo/public/models/stories'
const graphFile = 'onnx/model_quantized.onnx'
const times = 88

const lavapipe = chooseLavapipe()
test.skip('unavailable' in lavapipe, 'unavailable' in lavapipe ? lavapipe.unavailable : '')

test(
  'a weight larger than the adapter’s largest storage binding gives the same answer',
  { tag: '@soak' },
  async ({ page }) => {
    // A first load compiles the shaders with LLVM.
    test.setTimeout(600_000)
    await page.context().route(/\/models\/stories-wide\//, (route) => {
      const [, path = ''] = new URL(route.request().url()).pathname.split('/stories-wide/')
      if (path !== graphFile) return route.fulfill({ path: `${stories}/${path}` })
      const graph = repeatVocabulary(new Uint8Array(readFileSync(`${stories}/${graphFile}`)), times)
      return route.fulfill({ body: Buffer.from(graph), contentType: 'application/octet-stream' })
    })
    await openBarePage(page)
    const largestBinding = await page.evaluate(
      async () => (await navigator.gpu.requestAdapter())!.limits.maxStorageBufferBindingSize,
    )
    expect(largestBinding).toBe(128 * 2 ** 20)
    // The embedding has 2,048 tokens of 192 floats with 32 bits.
    expect(times * 2048 * 192 * 4).toBeGreaterThan(largestBinding)
    const engine = await loadEngine(page, 'webgpu', './models/stories-wide/')
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({
      device: 'webgpu',
      execution: 'replayed',
    })
    const [dragon] = readStoryReferences()
    const { tokenIds } = await streamAnswer(engine, dragon!.prompt, { temperature: 0, maxTokens: 24 })
    expect(tokenIds).toEqual(dragon!.greedyIds.slice(0, 24))
  },
)
