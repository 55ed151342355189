import type { Page } from '@playwright/test'
import { expect, test } from 'rivulet/playwright'
import { startPacedServer, type PacedServer } from './paced-server.js'

const tokenCount = 200
const tokenMs = 1000 / 50

const maxLongTaskMs = 50
const maxFrameGapP99Ms = 34

/** An answer with typical Markdown: prose, a list, a table and code. */
const answer = `## How a river finds the sea

A river **begins** as rain on high ground. It runs to the lowest place it can find, and where there is none it
waits: that is a *lake*. See [the water cycle](https://example.com/water-cycle) for the rest.

1. Rain falls on the hills, and \`soaks\` into the ground.
2. Springs give it back, lower down.
3. Streams meet, and the river grows.

| stretch | slope | speed |
| --- | --- | ---: |
| upper | steep | 3 m/s |
| lower | flat | 0.5 m/s |

\`\`\`ts
function follow(slope: number): string {
  return slope > 0.01 ? 'rapids' : 'meander'
}
\`\`\`

At its mouth the river is slow, and drops the sand that it has carried all the way. What it leaves there is a
delta: new land, made of old mountains.
`
/** The answer in pieces of five characters, filled up with words to `tokenCount` tokens. The last token contains any rest. */
const tokens = Array.from({ length: tokenCount }, (_, index) => {
  const text = index === tokenCount - 1 ? answer.slice(index * 5) : answer.slice(index * 5, (index + 1) * 5)
  return text === '' ? ` w${index}` : text
})

/** Long tasks and frame times during the stream. */
interface Smoothness {
  readonly longTasksMs: readonly number[]
  readonly frameGapP50Ms: number
  readonly frameGapP99Ms: number
  readonly frames: number
}

/** Streams the answer in the demo while the gap chart is open. */
async function measure(page: Page, server: PacedServer): Promise<Smoothness> {
  await page.goto(`/?backend=remote&server=${encodeURIComponent(server.url)}&model=paced-model`)
  await expect(page.locator('main[data-state=ready]')).toBeVisible()
  await page.getByRole('textbox', { name: 'Message' }).fill('How does a river find the sea?')
  const responded = page.waitForResponse((response) => response.url().includes('/chat/completions'))
  await page.keyboard.press('Enter')
  await responded
  await page.getByRole('button', { name: 'Runs and charts' }).click()
  await expect(page.getByRole('dialog').locator('canvas').first()).toBeVisible()
  await page.evaluate(startMeasuring)
  server.begin()
  await expect(page.getByTestId('answer').last()).toContainText('made of old mountains', { timeout: 30_000 })
  return page.evaluate(() => (globalThis as unknown as { readSmoothness(): Smoothness }).readSmoothness())
}

/** Runs in the page. */
function startMeasuring(): void {
  const longTasksMs: number[] = []
  const observer = new PerformanceObserver((list) => {
    longTasksMs.push(...list.getEntries().map(({ duration }) => Math.round(duration)))
  })
  observer.observe({ type: 'longtask' })
  const gapsMs: number[] = []
  let previousMs: number | undefined
  const onFrame = (timeMs: number) => {
    if (previousMs !== undefined) gapsMs.push(timeMs - previousMs)
    previousMs = timeMs
    requestAnimationFrame(onFrame)
  }
  requestAnimationFrame(onFrame)
  const readSmoothness = () => {
    const sorted = gapsMs.toSorted((a, b) => a - b)
    const percentile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Infinity
    return {
      longTasksMs,
      frameGapP50Ms: percentile(0.5),
      frameGapP99Ms: percentile(0.99),
      frames: sorted.length,
    }
  }
  Object.assign(globalThis, { readSmoothness })
}

const isSmooth = ({ longTasksMs, frameGapP99Ms }: Smoothness) =>
  longTasksMs.every((ms) => ms <= maxLongTaskMs) && frameGapP99Ms <= maxFrameGapP99Ms

test('streaming with the chart open keeps the page smooth', { tag: '@alone' }, async ({ page }, testInfo) => {
  const server = await startPacedServer(tokens, tokenMs)
  const measured: Smoothness[] = []
  try {
    // Another process may delay a frame. Three failures in a row are the page's fault.
    while (measured.length < 3 && !measured.some(isSmooth)) measured.push(await measure(page, server))
  } finally {
    server.close()
  }
  const results = measured.map((smoothness) => JSON.stringify(smoothness)).join('\n')
  console.log(results)
  testInfo.annotations.push({ type: 'frames', description: results })
  expect(measured.filter(isSmooth)).toHaveLength(1)
})

test('the measure detects a blocked main thread', { tag: '@alone' }, async ({ page }) => {
  await page.goto('about:blank')
  await page.evaluate(startMeasuring)
  const blocked = await page.evaluate(async () => {
    for (let task = 0; task < 5; task += 1) {
      const startMs = performance.now()
      while (performance.now() - startMs < 80);
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 20)))
    }
    return (globalThis as unknown as { readSmoothness(): Smoothness }).readSmoothness()
  })
  expect(blocked.longTasksMs.length).toBeGreaterThan(0)
  expect(blocked.frameGapP99Ms).toBeGreaterThan(maxFrameGapP99Ms)
})
