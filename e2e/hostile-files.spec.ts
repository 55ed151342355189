import { readFileSync } from 'node:fs'
import { expect, test } from '@playwright/test'
import { createRandom, mutateBytes } from '../workers/onnx/mutate.test-support.js'
import { embeddedModel, openBarePage } from './bare-page.js'
import { scaleCount } from './soak.js'

const graph = readFileSync(
  new URL('../demo/public/models/stories/onnx/model_quantized.onnx', import.meta.url),
)
/** The graph's nodes are in these first bytes. Damage in the weights after them would only change the text. */
const nodeBytes = 60_000

test('a damaged graph in ONNX Runtime ends in a typed error or runs, and never crashes the tab', async ({
  page,
}) => {
  test.setTimeout(3_600_000)
  await openBarePage(page)
  let body = Buffer.from(graph)
  await page.context().route('**/model_quantized.onnx', (route) => route.fulfill({ body }))
  const outcomes: Record<string, number> = {}
  const count = scaleCount(15, 500)
  for (let seed = 1; seed <= count; seed += 1) {
    body = Buffer.from(mutateBytes(graph, createRandom(seed), nodeBytes))
    const outcome = await page.evaluate(async (model) => {
      const { createEngine, onnx } = window.rivulet
      const timeout = new Promise<string>((resolve) => setTimeout(() => resolve('hangs'), 60_000))
      const run = async () => {
        const engine = await createEngine({ backend: onnx({ device: 'wasm' }), model })
        try {
          await engine.generate('Tell me a story.', { maxTokens: 3, temperature: 0 }).text()
          return 'runs'
        } finally {
          await engine.dispose()
        }
      }
      const describe = (error: unknown) => {
        const { name, code } = error as { name: string; code?: string }
        return name === 'RivuletError' ? String(code) : `untyped: ${String(error)}`
      }
      return Promise.race([run().catch(describe), timeout])
    }, embeddedModel)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    // A damaged size can be larger than the memory.
    expect(outcome, `seed ${seed}`).toMatch(
      /^(runs|memory-exceeded|model-invalid|model-unsupported|generation-failed|worker-failed)$/,
    )
  }
  console.log(`${count} damaged graphs: ${JSON.stringify(outcomes)}`)
  expect(outcomes['model-invalid']).toBeGreaterThan(0)
})
