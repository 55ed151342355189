import { defineConfig } from '@playwright/test'
import root from '../../playwright.config.js'
import { chooseFirefox, chooseWebKit } from '../../scripts/browsers.mjs'
import { isSoak } from '../soak.js'
import type { BrowserName } from './driver.js'
import type { WorkerFixtures } from './test.js'

const core = 'browsers/core.spec.ts'
/** `npm run test:e2e` runs the contract in Chromium. It takes too long in the others for `npm test`. */
const files = isSoak ? [core, 'contract.spec.ts'] : [core]

/** The same tests in Firefox, WebKit and Chromium. */
const projects: readonly {
  readonly name: BrowserName
  readonly isMissing?: boolean
  readonly files: string[]
}[] = [
  { name: 'firefox', isMissing: 'unavailable' in chooseFirefox(), files },
  { name: 'webkit', isMissing: 'unavailable' in chooseWebKit(), files },
  { name: 'chromium', files: [core] },
]

export default defineConfig<object, WorkerFixtures>({
  ...root,
  testDir: '..',
  testIgnore: [],
  outputDir: '../../.cache/test-results-browsers',
  projects: projects
    .filter(({ isMissing }) => !isMissing)
    .map(({ name, files }) => ({
      name,
      testMatch: files,
      use: { drivenBrowser: name },
    })),
})
