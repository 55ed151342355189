// npm run test:browsers: the same tests in Firefox, WebKit and Chromium. Arguments are passed to Playwright.
import { spawnSync } from 'node:child_process'
import { chooseFirefox, chooseWebKit, ensureBrowsers } from './browsers.mjs'

ensureBrowsers()
for (const [name, chosen] of Object.entries({ Firefox: chooseFirefox(), WebKit: chooseWebKit() }))
  if ('unavailable' in chosen) console.log(`The tests do not run in ${name}. ${chosen.unavailable}`)
const args = ['playwright', 'test', '--config', 'e2e/browsers/playwright.config.ts', ...process.argv.slice(2)]
process.exitCode = spawnSync('npx', args, { stdio: 'inherit' }).status ?? 1
