import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { expect, test } from '@playwright/test'
import { loadEngine, openBarePage, streamAnswer } from './bare-page.js'
import { preparePython, prepareSmolLm2, runScript, smolLm2Gguf } from './models/prepare.js'
import { serveFolder } from './serve-folder.js'

test('both files of the embedded model contain the same weights and produce the reference’s text', () => {
  test.setTimeout(600_000)
  const python = preparePython()
  test.skip('unavailable' in python, 'unavailable' in python ? python.unavailable : '')
  const { status, output } = runScript('verify_stories.py', 'demo/public/models')
  expect(status, output).toBe(0)
})

test('SmolLM2-135M-Instruct answers on llama.cpp, and continues after its worker dies', async ({ page }) => {
  test.setTimeout(900_000)
  const model = prepareSmolLm2()
  test.skip('unavailable' in model, 'unavailable' in model ? model.unavailable : '')
  const server = await serveFolder(dirname(smolLm2Gguf))
  try {
    await openBarePage(page)
    const engine = await page.evaluateHandle(
      (url) => {
        const { createEngine, llamaCpp } = window.rivulet
        const backend = llamaCpp({
          worker: window.createLlamaCppWorker,
          contextLength: 1024,
          // Beside other tests on two cores, two threads mostly wait for each other.
          threads: 1,
        })
        return createEngine({ backend, model: url })
      },
      server.url + basename(smolLm2Gguf),
    )
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({ dtype: 'Q4_1', contextLength: 1024 })
    // The first token of the answer has 95 % of the probability: versions of llama.cpp round 4-bit products differently.
    const question = 'Where is the Eiffel Tower?'
    const { result } = await streamAnswer(engine, question, { temperature: 0, maxTokens: 12 })
    expect(result.text).toContain('Paris')
    const again = await engine.evaluate(async (engine, question) => {
      const stream = engine.generate(question, { temperature: 0, maxTokens: 12 })
      for await (const { index } of stream) if (index === 3) window.breakWorker('terminate')
      return stream.result
    }, question)
    expect(again).toMatchObject({ text: result.text, recoveries: 1 })
  } finally {
    server.close()
  }
})

test('SmolLM2-135M-Instruct on WASM gives the reference’s answers', async ({ page }) => {
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
      // The end-of-sequence token is not streamed.
      const ids = result.finishReason === 'stop' ? greedyIds.slice(0, -1) : greedyIds
      expect(tokenIds).toEqual(ids)
      expect(result.text).toBe(answer)
      expect(result.usage.promptTokens).toBe(promptIds.length)
    }
  } finally {
    server.close()
  }
})
