// Runs the demo page in headless Chromium and prints its answer and figures.
import { chromium } from '@playwright/test'
import { chooseLaunchOptions } from './chromium.mjs'

const readouts = {
  ttft: 'time to first token',
  tps: 'tokens per second',
  'itl-p50': 'inter-token p50',
  'itl-p95': 'inter-token p95',
  total: 'total time',
  tokens: 'tokens',
}

/**
 * Sends one prompt to the demo and prints the answer while the page streams it, then the figures.
 * @param {string} url the demo's URL
 * @param {string} prompt
 * @param {string} device auto, webgpu or wasm
 */
export async function streamOnce(url, prompt, device) {
  const browser = await chromium.launch(chooseLaunchOptions())
  try {
    const page = await browser.newPage()
    await page.goto(`${url}?device=${encodeURIComponent(device)}`)
    await page.locator('[data-state=ready], [data-state=failed]').waitFor({ timeout: 120_000 })
    if (await page.locator('[data-state=failed]').count()) {
      const alert = page.getByRole('alert').first()
      // The reason is folded there.
      await alert
        .locator('details')
        .evaluateAll((all) => all.forEach((each) => each.setAttribute('open', '')))
      throw new Error(await alert.innerText())
    }
    const model = await page.getByTestId('model').innerText()
    console.log(`\n${model}, ${await page.getByTestId('device').innerText()}\n`)
    await page.exposeFunction('writeText', (/** @type {string} */ text) => process.stdout.write(text))
    await page.evaluate(watchAnswer)
    await page.getByRole('textbox', { name: 'Message' }).fill(prompt)
    await page.keyboard.press('Enter')
    await page.locator('[data-state=generating]').waitFor()
    await page.locator('[data-state=ready], [data-state=failed]').waitFor({ timeout: 0 })
    console.log('\n')
    for (const [name, label] of Object.entries(readouts)) {
      console.log(`${label.padEnd(20)} ${await page.getByTestId(name).innerText()}`)
    }
  } finally {
    await browser.close()
  }
}

/** Runs in the page: passes the text that each change adds to the newest answer. */
function watchAnswer() {
  let written = 0
  new MutationObserver(() => {
    /** @type {NodeListOf<HTMLElement>} */
    const answers = document.querySelectorAll('[data-testid=answer]')
    // `innerText` includes the line breaks, which are elements.
    const text = [...answers].at(-1)?.innerText.trimEnd() ?? ''
    const added = text.slice(written)
    written = text.length
    // The binding that streamOnce exposed to the page.
    if (added) void (/** @type {any} */ (window).writeText(added))
  }).observe(document.body, { subtree: true, childList: true, characterData: true })
}
