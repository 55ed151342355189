import { expect, test, type BrowserContext, type JSHandle, type Page } from '@playwright/test'
import type { Engine } from 'rivulet'
import { embeddedModel, openBarePage } from './bare-page.js'

const question = 'Tell me a story about a dragon.'

/** Opens a tab with an engine that shares its worker, in which the test can inject faults. */
async function openTab(context: BrowserContext): Promise<{ page: Page; engine: JSHandle<Engine> }> {
  const page = await openBarePage(await context.newPage())
  return { page, engine: await loadShared(page) }
}

function loadShared(page: Page, lingerMs = 0): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ model, lingerMs }) => {
      const { createEngine, onnx } = window.rivulet
      const backend = onnx({ device: 'wasm', worker: window.createFaultyWorker })
      return createEngine({ backend, model, host: { kind: 'shared', lingerMs } })
    },
    { model: embeddedModel, lingerMs },
  )
}

const ask = (engine: JSHandle<Engine>, prompt: string, maxTokens = 8) =>
  engine.evaluate(
    (engine, { prompt, maxTokens }) => engine.generate(prompt, { temperature: 0, maxTokens }).text(),
    { prompt, maxTokens },
  )

/** How many workers hold a model in all tabs. */
const countSeats = (page: Page) =>
  page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query()
    return held.filter(({ name }) => name?.startsWith('rivulet seat ')).length
  })

test('four tabs that open at once share one worker and one download', async ({ context }) => {
  let weightRequests = 0
  await context.route('**/models/stories/**', (route) => {
    if (route.request().url().endsWith('.onnx')) weightRequests += 1
    return route.continue()
  })
  const tabs = await Promise.all([1, 2, 3, 4].map(() => openTab(context)))
  const texts = await Promise.all(tabs.map(({ engine }) => ask(engine, question)))
  expect(new Set(texts)).toEqual(new Set([await ask(tabs[0]!.engine, question)]))
  for (const { engine } of tabs)
    expect(await engine.evaluate(({ info }) => info)).toMatchObject({ host: 'shared', device: 'wasm' })
  expect(await countSeats(tabs[0]!.page)).toBe(1)
  const loadedIn = tabs.map(({ page }) => page.workers().length)
  expect(loadedIn.toSorted()).toEqual([0, 0, 0, 1])
  expect(weightRequests).toBe(1)
})
