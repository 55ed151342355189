// What a disposed engine leaves in the page: nothing.
import { expect, test, type CDPSession, type Page } from '@playwright/test'
import { openBarePage } from './bare-page.js'
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

test('a disposed engine and its worker are garbage: nothing is held after many engines', async ({ page }) => {
  await openBarePage(page)
  const session = await page.context().newCDPSession(page)
  await cycle(page, 3)
  const before = await countHeld(page, session)
  await cycle(page, scaleCount(20, 100))
  const after = await countHeld(page, session)
  expect(after.workers).toBe(0)
  expect(after.ports).toBeLessThanOrEqual(before.ports)
  expect(after.abortSignals).toBeLessThanOrEqual(before.abortSignals)
  expect(after.listeners).toBeLessThanOrEqual(before.listeners)
  expect(after.heapBytes / before.heapBytes).toBeLessThan(1.2)
})
