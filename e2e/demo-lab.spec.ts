import { AxeBuilder } from '@axe-core/playwright'
import { expect, test, type Locator, type Page } from '@playwright/test'
import type { BenchRow } from '../demo/lab/bench-results.js'
import { createRow } from './bench/page/rows.js'
import { openPlainPage } from './plain-page.js'
import { isSoak } from './soak.js'

const prompt = 'Tell me a story about a dragon.'

async function openLab(page: Page): Promise<void> {
  await page.goto('/lab.html')
  await expect(page.getByRole('heading', { name: 'Race' })).toBeVisible()
}

const lane = (page: Page, name: 'Left' | 'Right') => page.getByRole('region', { name, exact: true })
const faults = (page: Page) => page.getByTestId('faults')
const download = (page: Page) => page.getByTestId('download')
const inState = (section: Locator, state: string) =>
  section.and(section.page().locator(`[data-state=${state}]`))
const readNumber = async (readout: Locator) => Number.parseFloat((await readout.textContent()) ?? '')

/** Runs a race with both lanes on WASM: greedy on the left, temperature 1 on the right. */
async function race(page: Page, maxTokens: number): Promise<void> {
  await lane(page, 'Right').getByLabel('Backend').selectOption('ONNX Runtime, WebAssembly')
  await lane(page, 'Right').getByLabel('Temperature').fill('1')
  for (const name of ['Left', 'Right'] as const) {
    await lane(page, name).getByLabel('Max tokens').fill(String(maxTokens))
  }
  await page.getByRole('button', { name: 'Start race' }).click()
  for (const name of ['Left', 'Right'] as const) {
    // The token count distinguishes this race from an earlier one.
    await expect(lane(page, name).getByTestId('tokens')).toHaveText(String(maxTokens))
    await expect(inState(lane(page, name), 'done')).toBeVisible()
  }
}

/** Starts the stream of the fault section. */
async function startFaultStream(page: Page, speed: string): Promise<void> {
  await faults(page).getByLabel('Reading speed').selectOption(speed)
  await faults(page).getByRole('button', { name: 'Start' }).click()
}

/** Starts the stream and waits for `tokens` tokens, so that faults can be injected. */
async function streamUnderFaults(page: Page, { tokens = 0, speed = '20 tokens/s' } = {}): Promise<void> {
  await startFaultStream(page, speed)
  // A software adapter needs almost a second per token, and the reference is generated first.
  await expect(inState(faults(page), 'streaming')).toBeVisible({ timeout: 300_000 })
  await expect.poll(() => readNumber(faults(page).getByTestId('tokens'))).toBeGreaterThanOrEqual(tokens)
}

async function readFaultText(page: Page): Promise<string> {
  await expect(inState(faults(page), 'done')).toBeVisible()
  return (await page.getByTestId('fault-text').textContent())!
}

test.describe('with one lab page for all tests', () => {
  let page: Page

  test.beforeAll(async ({ browser }) => {
    const context = await browser.newContext()
    page = await context.newPage()
    await openLab(page)
  })
  test.afterAll(() => page.context().close())

  test('a race of two configurations on WASM streams both, names the faster by TTFT and decode speed, and compares the runs', async () => {
    await page.getByRole('textbox', { name: 'Prompt' }).first().fill(prompt)
    await race(page, 24)
    const verdict = page.getByTestId('race-verdict')
    // Greedy and sampled tokens can take the same time.
    await expect(verdict).toHaveText(/TTFT: (no difference|(left|right) was [\d.]+ times faster)\./)
    await expect(verdict).toHaveText(/Decode speed: (no difference|(left|right) was [\d.]+ times faster)\./)
    for (const name of ['Left', 'Right'] as const) {
      await expect(lane(page, name).getByTestId('tokens')).toHaveText('24')
      await expect(lane(page, name).getByTestId('lane-text')).toHaveText(/\w+ \w+/)
      await expect(lane(page, name).getByRole('row', { name: /^Decode/ })).toHaveText(/\d m?s/)
    }
    const greedy = await lane(page, 'Left').getByTestId('lane-text').textContent()
    expect(await lane(page, 'Right').getByTestId('lane-text').textContent()).not.toBe(greedy)
    await expect(
      page.getByRole('table', { name: 'Two runs compared' }).getByRole('row', { name: /^Decode speed/ }),
    ).toHaveText(/\d ×/)
  })

  test('terminating the worker during a stream does not change the text', async () => {
    // At full speed the `streaming` state may end before an assertion sees it.
    await startFaultStream(page, 'Full speed')
    const referenceText = await readFaultText(page)
    await expect(page.getByTestId('fault-verdict')).toContainText('no recoveries')

    await streamUnderFaults(page, { tokens: 10 })
    await faults(page).getByRole('button', { name: 'Terminate worker' }).click()
    await expect(faults(page).getByText(/the library detected the loss \(worker-failed\)/)).toBeVisible()
    await faults(page).getByLabel('Reading speed').selectOption('Full speed')
    expect(await readFaultText(page)).toBe(referenceText)
    await expect(page.getByTestId('fault-verdict')).toContainText('identical to the reference')
    await expect(page.getByTestId('fault-verdict')).toContainText('1 recovery')
    await expect(faults(page).getByText(/the stream continues/)).toBeVisible()
  })

  test('with a reader of one chunk per second, the model is two chunks ahead and no further', async () => {
    await streamUnderFaults(page, { tokens: 1, speed: 'Slow: 1 token/s' })
    const readout = (testId: string) => faults(page).getByTestId(testId)
    await expect.poll(() => readNumber(readout('chunks-read'))).toBeGreaterThanOrEqual(4)
    // Two chunks are ready before each read, so one is unread after it.
    await expect(readout('chunks-unread')).toHaveText('1')
    await expect(readout('read-ahead')).toHaveText('1')
    // The model computes a chunk when the second chunk before it is read, so it waits for two reads.
    await expect(readout('chunk-wait')).toHaveText(/^[1-3]\.\d+ s$/)
    await expect(readout('recoveries')).toHaveText('0')
    await faults(page).getByRole('button', { name: 'Stop' }).click()
    await expect(page.getByTestId('fault-verdict')).toHaveText('Stopped.')
  })

  test('a download resumes at the same byte after a network loss, automatically or when the user resumes it', async () => {
    const received = () => readNumber(page.getByTestId('network-received'))
    await download(page).getByRole('button', { name: 'Delete and download' }).click()
    await expect.poll(received).toBeGreaterThan(0.3)
    await download(page).getByRole('button', { name: 'Go offline' }).click()
    await expect.poll(() => readNumber(page.getByTestId('network-failed'))).toBeGreaterThan(0)
    await download(page).getByRole('button', { name: 'Go online' }).click()
    await expect.poll(received).toBeGreaterThan(1)
    await download(page).getByRole('button', { name: 'Go offline' }).click()
    await expect(inState(download(page), 'failed')).toContainText('download-failed')
    await download(page).getByRole('button', { name: 'Go online' }).click()
    await download(page).getByRole('button', { name: 'Resume download' }).click()
    await expect(inState(download(page), 'done')).toContainText(/Its answer to “Hello!”: \w+/)
    const files = await readNumber(page.getByTestId('network-files'))
    expect(files).toBeGreaterThan(2)
    // Small files may be downloaded twice after a failure; the weights are not.
    expect(await received()).toBeLessThan(files * 1.1)
  })

  test('shows charts and tables of benchmark results, and an error for another file', async () => {
    const input = page.getByLabel('Benchmark results (JSON)')
    await input.setInputFiles({ name: 'no.json', mimeType: 'application/json', buffer: Buffer.from('{}') })
    await expect(page.getByText('This file does not contain benchmark results')).toBeVisible()
    await input.setInputFiles(artificialResults)
    await expect(
      page.getByText('2 rows, measured on 2026-11-26. A processor, 2 cores; no GPU adapter.'),
    ).toBeVisible()
    await expect(
      page.getByRole('img', { name: /wasm, stories: time per token by context length/ }),
    ).toBeVisible()
    await expect(page.locator('.bench-chart canvas')).toBeVisible()
    const table = page.getByRole('table', { name: 'wasm' })
    await expect(table.getByRole('row', { name: /time per token.*context 512/ })).toContainText(
      'ratio at most 0.5: met',
    )
    await expect(table.getByRole('row', { name: /time per token.*context 64/ })).toContainText(
      'ratio at most 0.1: missed',
    )
  })

  test('axe finds no violations in either theme, and the page does not overflow at 320 pixels', async () => {
    await race(page, 8)
    await page.getByLabel('Benchmark results (JSON)').setInputFiles(artificialResults)
    await expect(page.locator('.bench-chart canvas')).toBeVisible()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(
        violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
        colorScheme,
      ).toEqual([])
    }
    await page.setViewportSize({ width: 320, height: 640 })
    const { scroll, client } = await page.evaluate(() => ({
      scroll: document.documentElement.scrollWidth,
      client: document.documentElement.clientWidth,
    }))
    expect(scroll).toBeLessThanOrEqual(client)
  })
})

test('losing the GPU during a stream does not change the text', async ({ page }) => {
  // Both loads compile their shaders on the CPU, which takes a minute and a half.
  test.skip(!isSoak && process.env.RIVULET_GPU !== 'hardware', 'only with npm run soak or a graphics card')
  test.setTimeout(600_000)
  await openLab(page)
  await faults(page).getByLabel('Backend').selectOption('ONNX Runtime, WebGPU')
  await faults(page).getByLabel('Max tokens').fill('8')
  await streamUnderFaults(page, { tokens: 3 })
  await faults(page).getByRole('button', { name: 'Lose GPU' }).click()
  await expect(inState(faults(page), 'done')).toBeVisible({ timeout: 300_000 })
  await expect(faults(page).getByText(/the library detected the loss \(device-lost\)/)).toBeVisible()
  await expect(page.getByTestId('fault-verdict')).toContainText('identical to the reference')
  await expect(page.getByTestId('fault-verdict')).toContainText('1 recovery')
})

test('a hidden tab continues to read the stream, faster than its throttled timers run', async ({
  browser,
  baseURL,
}) => {
  const lab = await openPlainPage(browser, new URL('/lab.html', baseURL).href)
  const readState = () => lab.evaluate(readFaultSection)
  try {
    await expect.poll(async () => (await readState()).state).toBe('idle')
    await lab.evaluate(() =>
      document.querySelector<HTMLElement>('[data-testid=faults] [type=submit]')!.click(),
    )
    await expect.poll(async () => (await readState()).tokens).toBeGreaterThanOrEqual(5)
    await lab.evaluate(() => {
      const buttons = document.querySelectorAll<HTMLElement>('[data-testid=faults] button')
      ;[...buttons].find(({ textContent }) => textContent === 'Hide tab')!.click()
    })
    await expect.poll(async () => (await readState()).isHidden).toBe(true)
    await expect.poll(async () => (await readState()).isHidden).toBe(false)
    await expect.poll(async () => (await readState()).verdict).toContain('identical to the reference')
    const { events } = await readState()
    expect(events).toEqual([
      expect.stringContaining('the tab is hidden.'),
      expect.stringMatching(/the tab is visible again; \d+ tokens arrived while it was hidden\.$/),
    ])
    const [, arrived] = /; (\d+) tokens/.exec(events[1]!)!
    // The tab was hidden for five seconds, in which a throttled timer runs five times.
    expect(Number(arrived)).toBeGreaterThan(10)
  } finally {
    await lab.close()
  }
})

/** Runs in the page. */
function readFaultSection() {
  const faults = document.querySelector<HTMLElement>('[data-testid=faults]')
  const readAll = (selector: string) =>
    [...document.querySelectorAll(selector)].map(({ textContent }) => textContent)
  return {
    state: faults?.dataset.state,
    tokens: Number(faults?.querySelector('[data-testid=tokens]')?.textContent),
    events: readAll('.fault-events li'),
    verdict: readAll('[data-testid=fault-verdict]').join(),
    isHidden: document.hidden,
  }
}

/** Artificial values in rows created by the benchmark's code. */
const artificialResults = {
  name: 'results.json',
  mimeType: 'application/json',
  buffer: Buffer.from(
    JSON.stringify({
      date: '2026-11-26T12:00:00.000Z',
      machine: { processor: 'A processor', cores: 2, adapter: 'no GPU adapter' },
      rows: [
        { context: 64, limit: 0.1 },
        { context: 512, limit: 0.5 },
      ].map(({ context, limit }) =>
        createRow({
          section: 'wasm',
          model: 'stories',
          context,
          quantity: 'time per token',
          unit: 'ms',
          values: [2, 3, 4],
          baseline: { name: 'another library', values: [6, 9, 11] },
          bound: { of: 'ratio', kind: 'at most', limit },
        }),
      ) satisfies readonly BenchRow[],
    }),
  ),
}
