// npm run soak: the tests of the contract under faults and load, each many times. An hour and a half on two cores.
// npm run soak -- load: only the files whose names begin so.
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

/** How many times what `npm test` does; tests have their own upper ends. */
process.env.RIVULET_SOAK ??= '34'
const files = process.argv.slice(2)

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
if (files.length === 0) runNpm('run', '--silent', 'test:unit', '--', '--project', 'node', 'hostile')
runNpm(
  'run',
  '--silent',
  'test:e2e',
  '--',
  ...(files.length > 0 ? files : ['load', 'recovery', 'hostile', 'store', 'demo-lab']),
)
