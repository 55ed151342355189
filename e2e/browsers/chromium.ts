import { chromium } from '@playwright/test'
import type { Driver, DriverOptions } from './driver.js'

export async function startChromium({ profile, proxy, launchOptions }: DriverOptions): Promise<Driver> {
  const context = await chromium.launchPersistentContext(profile, {
    ...launchOptions,
    // Without this, Chromium connects to localhost directly.
    proxy: { server: proxy, bypass: '<-loopback>' },
  })
  return { name: 'chromium', openPage: () => context.newPage(), close: () => context.close() }
}
