import type { BrowserContext, Page } from '@playwright/test'
import type { TabCall } from './page/tab.js'

/** Provides the functions of `page/tab.ts` that open tabs of the benchmark page and run something in them. */
export async function exposeTabs(browser: BrowserContext, url: string, page: Page): Promise<void> {
  const tabs: Page[] = []

  async function openTabs(count: number): Promise<void> {
    for (let opened = 0; opened < count; opened += 1) {
      const tab = await browser.newPage()
      tabs.push(tab)
      await tab.goto(url)
      await tab.waitForFunction(() => 'benchTab' in window)
    }
  }

  async function closeTabs(): Promise<void> {
    await Promise.all(tabs.splice(0).map((tab) => tab.close()))
  }

  await page.exposeFunction('openTabs', openTabs)
  await page.exposeFunction('closeTabs', closeTabs)
  await page.exposeFunction('callTab', (tab: number, call: TabCall) =>
    tabs[tab]!.evaluate((call) => window.benchTab(call), call),
  )
  page.on('close', () => void closeTabs())
}
