import type { LaunchOptions, Page } from '@playwright/test'

export type BrowserName = 'chromium' | 'firefox' | 'webkit'

/** What the tests of all browsers use of a page: a part of Playwright's own pages, with the same behaviour. */
export type DrivenPage = Pick<
  Page,
  | 'goto'
  | 'goBack'
  | 'evaluate'
  | 'evaluateHandle'
  | 'waitForFunction'
  | 'click'
  | 'type'
  | 'screenshot'
  | 'close'
>

/** A running browser with a profile on disk. Every request of its pages goes through a proxy. */
export interface Driver {
  readonly name: BrowserName
  openPage(): Promise<DrivenPage>
  close(): Promise<void>
}

/** What a driver starts a browser with. */
export interface DriverOptions {
  /** A folder for the profile. */
  readonly profile: string
  /** The proxy's URL. It also gets the requests to localhost. */
  readonly proxy: string
  /** Chromium's. */
  readonly launchOptions: LaunchOptions
}
