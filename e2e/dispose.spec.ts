// What a disposed engine leaves in the page: nothing.
import { expect, test, type CDPSession, type Page } from '@playwright/test'
import { openBarePage } from './bare-page.js'
import { barePageUrl } from './ports.js'
import { scaleCount } from './soak.js'

/**
 * V8 compiles code and collects types while a page runs, which looks like a leak: 13 to 16 % of a page's heap in 100 cycles.
 * With these flags it does so at the first run of a function, and not later.
 */
const steadyHeap = [
  '--no-opt',
  '--no-maglev',
  '--no-sparkplug',
  '--no-flush-bytecode',
  '--no-lazy-feedback-allocation',
].join(' ')

test.use({
  launchOptions: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures here
    async ({}, use, { project }) => {
      const { args = [], ...options } = project.use.launchOptions ?? {}
      // The last one of these arguments counts.
      await use({ ...options, args: [...args, `--js-flags=${steadyHeap}`] })
    },
    { scope: 'worker' },
  ],
})

/** Less than one disposed engine holds if the page keeps it: 4,676 bytes of the page's heap, and 93 objects. */
const lessThanAnEngine = { heapBytes: 4096, objects: 90 }

interface Held {
  readonly workers: number
  readonly ports: number
  readonly abortSignals: number
  readonly listeners: number
  /** All objects of JavaScript but those without a prototype. */
  readonly objects: number
  readonly heapBytes: number
}

/** Fills V8's caches of numbers as text, which grow to 65 and 48 kB once. */
function fillNumberCaches(page: Page): Promise<number> {
  return page.evaluate(() => {
    let length = 0
    for (let number = 0; number < 200_000; number += 1) length += `${number}${number + 0.5}`.length
    return length
  })
}

/** Counts what the page still holds after a garbage collection. */
async function countHeld(page: Page, session: CDPSession): Promise<Held> {
  await session.send('HeapProfiler.enable')
  // The library keeps the measures of 200 generations, and the browser the times of 250 requests.
  await page.evaluate(() => {
    performance.clearMeasures()
    performance.clearResourceTimings()
  })
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
  const objects = await count('Object')
  await session.send('Performance.enable')
  await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  const read = (name: string) => metrics.find((metric) => metric.name === name)!.value
  return {
    workers,
    ports,
    abortSignals,
    listeners: read('JSEventListeners'),
    objects,
    heapBytes: read('JSHeapUsedSize'),
  }
}

/** Creates an engine, streams an answer, and disposes the engine. */
function cycle(page: Page): Promise<void> {
  return page.evaluate(async () => {
    const engine = await window.createScriptedEngine()
    await engine.generate('one two three').text()
    // Cancelled by the end of the engine.
    void engine
      .generate('four five six')
      .text()
      .catch(() => {})
    await engine.dispose()
  })
}

/** Shows the guide's chat, which loads a real model, asks it, and removes it while it answers. */
function mountAndUnmount(page: Page): Promise<void> {
  return page.evaluate(async () => {
    const waitFor = async (text: RegExp, selector: string) => {
      while (!text.test(document.querySelector(selector)?.textContent ?? ''))
        await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await window.showApp()
    await waitFor(/ready/, '[role=status]')
    document.querySelector('input')!.value = 'Tell me a story about a dragon.'
    document.querySelector('form')!.requestSubmit()
    await waitFor(/\w+ \w+/, 'article[aria-label=assistant] p')
    window.reactRoot.render(null)
    await waitFor(/^$/, '#app')
  })
}

/** Creates a worker of the platform, without this library, gets an answer and terminates it. */
function cycleBareWorker(page: Page): Promise<void> {
  return page.evaluate(async () => {
    const script = new Blob(['onmessage = ({ data }) => postMessage(data)'], { type: 'text/javascript' })
    const url = URL.createObjectURL(script)
    const worker = new Worker(url, { type: 'module' })
    await new Promise((resolve) => {
      worker.onmessage = resolve
      worker.postMessage('a message', [])
    })
    worker.terminate()
    URL.revokeObjectURL(url)
  })
}

interface Growth {
  readonly before: Held
  readonly after: Held
  readonly heapBytes: number
  readonly objects: number
}

/** Compares what a page holds after three cycles and after many more. */
async function measureGrowth(
  page: Page,
  session: CDPSession,
  cycles: number,
  runCycle: () => Promise<void>,
): Promise<Growth> {
  const runCycles = async (count: number) => {
    for (let done = 0; done < count; done += 1) {
      await runCycle()
      // The tables of weak maps grow with the entries between two collections, and V8 shrinks them late.
      await session.send('HeapProfiler.collectGarbage')
    }
  }
  await runCycles(3)
  const before = await countHeld(page, session)
  await runCycles(cycles)
  const after = await countHeld(page, session)
  const [heapBytes, objects] = [after.heapBytes - before.heapBytes, after.objects - before.objects]
  return { before, after, heapBytes, objects }
}

/** Fails if a page holds more after many cycles than after three. Its heap may grow as with as many workers of the platform. */
async function expectNothingHeld(page: Page, runCycle: () => Promise<void>): Promise<void> {
  const session = await page.context().newCDPSession(page)
  await fillNumberCaches(page)
  const cycles = scaleCount(10, 97)
  const bare = await measureGrowth(page, session, cycles, () => cycleBareWorker(page))
  const growth = await measureGrowth(page, session, cycles, runCycle)
  const { before, after } = growth
  test.info().annotations.push({
    type: 'held',
    description: JSON.stringify({ cycles: cycles + 3, bare, growth }),
  })
  expect(after.workers).toBe(0)
  expect(after.ports).toBeLessThanOrEqual(before.ports)
  expect(after.abortSignals).toBeLessThanOrEqual(before.abortSignals)
  expect(after.listeners).toBeLessThanOrEqual(before.listeners)
  expect(growth.objects).toBeLessThan(Math.max(0, bare.objects) + lessThanAnEngine.objects)
  expect(growth.heapBytes).toBeLessThan(Math.max(0, bare.heapBytes) + lessThanAnEngine.heapBytes)
}

test('a disposed engine and its worker are garbage: nothing is held after many engines', async ({ page }) => {
  await openBarePage(page)
  await expectNothingHeld(page, () => cycle(page))
})

test('a chat in React that was mounted and unmounted many times, with a real model, leaves nothing behind @soak', async ({
  page,
}) => {
  test.setTimeout(900_000)
  await page.goto(`${barePageUrl}react.html?story`)
  await page.waitForFunction(() => 'showApp' in window)
  // Removes the chat that the page shows at its start.
  await mountAndUnmount(page)
  await expectNothingHeld(page, () => mountAndUnmount(page))
  await expect.poll(() => page.workers().length).toBe(0)
})
