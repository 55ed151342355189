// What a disposed engine leaves in the page: nothing.
import { expect, test, type CDPSession, type Page } from '@playwright/test'
import { openBarePage } from './bare-page.js'
import { barePageUrl } from './ports.js'
import { scaleCount } from './soak.js'

interface Held {
  readonly workers: number
  readonly ports: number
  readonly abortSignals: number
  readonly listeners: number
  readonly heapBytes: number
}

/** Counts what the page still holds after a garbage collection. */
async function countHeld(page: Page, session: CDPSession): Promise<Held> {
  await session.send('HeapProfiler.enable')
  // The page keeps the measures of 200 generations.
  await page.evaluate(() => performance.clearMeasures())
  // Finalizers run between collections.
  for (let round = 0; round < 3; round += 1) {
    await session.send('HeapProfiler.collectGarbage')
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)))
  }
  const count = async (name: string): Promise<number> => {
    const prototype = await session.send('Runtime.evaluate', { expression: `${name}.prototype` })
    const { objects } = await session.send('Runtime.queryObjects', {
      prototypeObjectId: prototype.result.objectId!,
    })
    const length = await session.send('Runtime.callFunctionOn', {
      objectId: objects.objectId!,
      functionDeclaration: 'function () { return this.length }',
      returnByValue: true,
    })
    await session.send('Runtime.releaseObject', { objectId: objects.objectId! })
    return length.result.value as number
  }
  const workers = await count('Worker')
  const ports = await count('MessagePort')
  const abortSignals = await count('AbortSignal')
  await session.send('Performance.enable')
  await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  const read = (name: string) => metrics.find((metric) => metric.name === name)!.value
  return {
    workers,
    ports,
    abortSignals,
    listeners: read('JSEventListeners'),
    heapBytes: read('JSHeapUsedSize'),
  }
}

/** Creates an engine, streams an answer, and disposes the engine; `count` times. */
function cycle(page: Page, count: number): Promise<void> {
  return page.evaluate(async (count) => {
    for (let done = 0; done < count; done += 1) {
      const engine = await window.createScriptedEngine()
      await engine.generate('one two three').text()
      // Cancelled by the end of the engine.
      void engine
        .generate('four five six')
        .text()
        .catch(() => {})
      await engine.dispose()
    }
  }, count)
}

/** Shows the guide's chat, which loads a real model, asks it, and removes it while it answers; `count` times. */
function mountAndUnmount(page: Page, count: number): Promise<void> {
  return page.evaluate(async (count) => {
    const waitFor = async (text: RegExp, selector: string) => {
      while (!text.test(document.querySelector(selector)?.textContent ?? ''))
        await new Promise((resolve) => setTimeout(resolve, 10))
    }
    for (let done = 0; done < count; done += 1) {
      await window.showApp()
      await waitFor(/ready/, '[role=status]')
      document.querySelector('input')!.value = 'Tell me a story about a dragon.'
      document.querySelector('form')!.requestSubmit()
      await waitFor(/\w+ \w+/, 'article[aria-label=assistant] p')
      window.reactRoot.render(null)
      await waitFor(/^$/, '#app')
    }
  }, count)
}

/** Fails if a page holds more after many cycles than after three. */
async function expectNothingHeld(page: Page, runCycles: (count: number) => Promise<void>): Promise<void> {
  const session = await page.context().newCDPSession(page)
  await runCycles(3)
  const before = await countHeld(page, session)
  const cycles = scaleCount(20, 97)
  await runCycles(cycles)
  const after = await countHeld(page, session)
  test.info().annotations.push({
    type: 'held',
    description: JSON.stringify({ cycles: cycles + 3, before, after }),
  })
  expect(after.workers).toBe(0)
  expect(after.ports).toBeLessThanOrEqual(before.ports)
  expect(after.abortSignals).toBeLessThanOrEqual(before.abortSignals)
  expect(after.listeners).toBeLessThanOrEqual(before.listeners)
  expect(after.heapBytes / before.heapBytes).toBeLessThan(1.2)
}

test('a disposed engine and its worker are garbage: nothing is held after many engines', async ({ page }) => {
  await openBarePage(page)
  await expectNothingHeld(page, (count) => cycle(page, count))
})

test('a chat in React that was mounted and unmounted many times, with a real model, leaves nothing behind @soak', async ({
  page,
}) => {
  test.setTimeout(900_000)
  await page.goto(`${barePageUrl}react.html?story`)
  await page.waitForFunction(() => 'showApp' in window)
  await expectNothingHeld(page, (count) => mountAndUnmount(page, count))
  await expect.poll(() => page.workers().length).toBe(0)
})
