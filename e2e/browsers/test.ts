import { test as base } from '@playwright/test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChromium } from './chromium.js'
import type { BrowserName, DrivenPage, Driver } from './driver.js'
import { barePageUrl, demoUrl } from '../ports.js'
import { startFirefox } from './firefox.js'
import { startLoggingProxy, type LoggingProxy } from './logging-proxy.js'
import { startWebKit } from './webkit.js'

const starters = { chromium: startChromium, firefox: startFirefox, webkit: startWebKit } as const

/** Where the tests' pages are served (playwright.config.ts). */
const ownOrigins = [demoUrl, barePageUrl].map((url) => new URL(url).origin)
/**
 * The browsers themselves look there for updates, accounts and forms to fill in. No setting of a release build prevents it. WebKit
 * sends none, so a page's request to one of these domains fails its test.
 */
const vendorDomains: Readonly<Record<BrowserName, readonly string[]>> = {
  chromium: ['google.com', 'googleapis.com', 'gvt1.com'],
  firefox: ['mozilla.com', 'mozilla.org'],
  webkit: [],
}

/** @param origin an origin, or the host and port of a tunnel */
function isVendor(origin: string, browser: BrowserName): boolean {
  const { hostname } = new URL(origin.includes('://') ? origin : `https://${origin}`)
  return vendorDomains[browser].some((domain) => hostname.endsWith(`.${domain}`))
}

export interface WorkerFixtures {
  /** Chosen by the project. */
  readonly drivenBrowser: BrowserName
  readonly loggingProxy: LoggingProxy
  readonly driver: Driver
  /** The origins of test servers whose URLs a test passes to the library. No other request may leave the page's origin. */
  readonly namedOrigins: Set<string>
}

interface Fixtures {
  /** Opens a page that is closed after the test. */
  readonly openPage: () => Promise<DrivenPage>
  /** Fails the test if a request went elsewhere. */
  readonly onlyNamedOrigins: void
}

/** Playwright's `test` on the project's browser: Chromium, Firefox or WebKit. */
export const test = base.extend<Fixtures, WorkerFixtures>({
  drivenBrowser: ['chromium', { scope: 'worker', option: true }],
  loggingProxy: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the fixtures from the parameter's pattern
    async ({}, use) => {
      const proxy = await startLoggingProxy()
      await use(proxy)
      proxy.close()
    },
    { scope: 'worker' },
  ],
  driver: [
    async ({ drivenBrowser, loggingProxy, launchOptions }, use) => {
      const profile = mkdtempSync(join(tmpdir(), 'rivulet-'))
      const driver = await starters[drivenBrowser]({ profile, proxy: loggingProxy.url, launchOptions })
      await use(driver)
      await driver.close()
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
    { scope: 'worker' },
  ],
  openPage: async ({ driver }, use) => {
    const pages: DrivenPage[] = []
    await use(async () => {
      const page = await driver.openPage()
      pages.push(page)
      return page
    })
    for (const page of pages) await page.close()
  },
  // oxlint-disable-next-line no-empty-pattern -- as above
  namedOrigins: [async ({}, use) => use(new Set()), { scope: 'worker' }],
  onlyNamedOrigins: [
    async ({ loggingProxy, namedOrigins, drivenBrowser }, use) => {
      await use()
      const allowed = new Set([...ownOrigins, ...namedOrigins])
      const strangers = [...loggingProxy.origins].filter(
        (origin) => !allowed.has(origin) && !isVendor(origin, drivenBrowser),
      )
      loggingProxy.origins.clear()
      base.expect(strangers, 'requests to other hosts').toEqual([])
    },
    { auto: true },
  ],
})
