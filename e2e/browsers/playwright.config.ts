import { defineConfig } from '@playwright/test'
import root from '../../playwright.config.js'
import { chooseFirefox, chooseWebKit } from '../../scripts/browsers.mjs'
import { isSoak } from '../soak.js'
import type { BrowserName } from './driver.js'
import type { WorkerFixtures } from './test.js'

const core = 'browsers/core.spec.ts'
/** `npm run test:e2e` runs it in Chromium. */
const contract = 'contract.spec.ts'
/** The other backends' contract runs in `npm run soak`. */
const inCi = /core\.spec\.ts|onnx\(\), WASM/

/** The same tests in Firefox, WebKit and Chromium. */
const projects: readonly {
  readonly name: BrowserName
  readonly isMissing?: boolean
  readonly files: string[]
}[] = [
  { name: 'firefox', isMissing: 'unavailable' in chooseFirefox(), files: [core, contract] },
  { name: 'webkit', isMissing: 'unavailable' in chooseWebKit(), files: [core, contract] },
  { name: 'chromium', files: [core] },
]

export default defineConfig<object, WorkerFixtures>({
  ...root,
  testDir: '..',
  testIgnore: [],
  ...(!isSoak && { grep: inCi, grepInvert: /@soak\b/ }),
  outputDir: '../../.cache/test-results-browsers',
  projects: projects
    .filter(({ isMissing }) => !isMissing)
    .map(({ name, files }) => ({
      name,
      testMatch: files,
      use: { drivenBrowser: name },
    })),
})
