import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from '@playwright/test'
import { loadEngine, openBarePage, streamAnswer } from './bare-page.js'
import { preparePython, prepareSmolLm2, runScript } from './models/prepare.js'
import { serveFolder } from './serve-folder.js'

test('the embedded model is a true export of its weights', () => {
  test.setTimeout(600_000)
  const source = process.env.RIVULET_STORIES_MODEL ?? '../shared/data/stories-model'
  test.skip(!existsSync(source), 'RIVULET_STORIES_MODEL names no folder with the weights before export.')
  const python = preparePython()
  test.skip('unavailable' in python, 'unavailable' in python ? python.unavailable : '')
  const { status, output } = runScript('verify_stories.py', source, 'demo/public/models')
  expect(status, output).toBe(0)
})

test('SmolLM2-135M-Instruct answers on WASM as its reference does', async ({ page }) => {
  test.setTimeout(900_000)
  const model = prepareSmolLm2()
  test.skip('unavailable' in model, 'unavailable' in model ? model.unavailable : '')
  if ('unavailable' in model) return
  const { references } = JSON.parse(readFileSync('e2e/models/smollm2-reference.json', 'utf8')) as {
    references: readonly { text: string; prompt_ids: number[]; greedy_ids: number[]; greedy_text: string }[]
  }
  const server = await serveFolder(model.value)
  try {
    await openBarePage(page)
    const engine = await loadEngine(page, 'wasm', server.url)
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({ dtype: 'q4', contextLength: 8192 })
    for (const { text, prompt_ids: promptIds, greedy_ids: greedyIds, greedy_text: answer } of references) {
      const { result, tokenIds } = await streamAnswer(engine, text, {
        temperature: 0,
        maxTokens: greedyIds.length,
      })
      // The token that ends the text is not streamed.
      const ids = result.finishReason === 'stop' ? greedyIds.slice(0, -1) : greedyIds
      expect(tokenIds).toEqual(ids)
      expect(result.text).toBe(answer)
      expect(result.usage.promptTokens).toBe(promptIds.length)
    }
  } finally {
    server.close()
  }
})
