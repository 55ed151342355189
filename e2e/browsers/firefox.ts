import { launch } from 'puppeteer-core'
import { chooseFirefox } from '../../scripts/browsers.mjs'
import { lavapipeEnvironment } from '../../scripts/lavapipe.mjs'
import type { DrivenPage, Driver, DriverOptions } from './driver.js'
import { waitForFunction } from './wait-for-function.js'

/** Firefox, over WebDriver BiDi. WebGPU runs on lavapipe where that is prepared. */
export async function startFirefox({ profile, proxy }: DriverOptions): Promise<Driver> {
  const chosen = chooseFirefox()
  if ('unavailable' in chosen) throw new Error(chosen.unavailable)
  const { hostname, port } = new URL(proxy)
  const browser = await launch({
    browser: 'firefox',
    executablePath: chosen.executablePath,
    userDataDir: profile,
    defaultViewport: { width: 1280, height: 720 },
    env: { ...process.env, ...lavapipeEnvironment() },
    // On a busy machine the start takes longer than Puppeteer's 30 seconds, and a model's load takes minutes.
    timeout: 120_000,
    protocolTimeout: 0,
    extraPrefsFirefox: {
      'network.proxy.type': 1,
      'network.proxy.http': hostname,
      'network.proxy.http_port': Number(port),
      'network.proxy.ssl': hostname,
      'network.proxy.ssl_port': Number(port),
      'network.proxy.allow_hijacking_localhost': true,
      'dom.webgpu.enabled': true,
      // Firefox refuses software adapters otherwise.
      'gfx.webgpu.ignore-blocklist': true,
    },
  })
  return {
    name: 'firefox',
    async openPage() {
      const page = await browser.newPage()
      const driven = Object.assign(page, {
        // WebDriver BiDi passes no elements: whether a value counts as true is asked in the page.
        waitForFunction: (run: () => unknown) =>
          waitForFunction(async () => {
            await using value = await page.evaluateHandle(run)
            return value.evaluate((each) => Boolean(each))
          }),
      })
      // Puppeteer's pages behave like Playwright's in what `DrivenPage` has. Their types write handles differently.
      return driven as unknown as DrivenPage
    },
    close: () => browser.close(),
  }
}
