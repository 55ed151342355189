// npm run pictures: takes the pictures of the demo in docs/images, after `npm run build` and `npm run build:demo`.
// npm run pictures -- FOLDER 390 1280: other widths, to another folder.
import { resolve } from 'node:path'
import { chromium } from '@playwright/test'
import { preview } from 'vite'
import { chooseLaunchOptions } from './chromium.mjs'

const root = resolve(import.meta.dirname, '..')
const [folder = 'docs/images', ...widths] = process.argv.slice(2)
/** @type {Readonly<Record<number, number>>} */
const heights = { 320: 700, 390: 844, 1280: 800 }
const chosen = widths.length > 0 ? widths.map(Number) : [320, 800, 1600]

const server = await preview({ configFile: resolve(root, 'vite.config.ts'), logLevel: 'warn' })
const browser = await chromium.launch(chooseLaunchOptions())
try {
  for (const width of chosen) {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      const page = await browser.newPage({ colorScheme, viewport: { width, height: heights[width] ?? 900 } })
      await page.goto(`${server.resolvedUrls?.local[0]}?device=wasm`)
      await page.locator('main[data-state=ready]').waitFor()
      const field = page.getByRole('textbox', { name: 'Message' })
      await field.fill('Tell me a story about a dragon.')
      await field.press('Enter')
      await page.getByRole('button', { name: 'Regenerate' }).waitFor()
      // The last transition.
      await page.waitForTimeout(500)
      await page.screenshot({ path: resolve(root, folder, `demo-${width}-${colorScheme}.png`) })
      await page.close()
    }
  }
} finally {
  await browser.close()
  await server.close()
}
