// npm run soak: repeats the tests under faults and load many times. Takes an hour and a half on two cores.
// With ../shared/zoo next to the repository, or RIVULET_ZOO, it also runs all models there.
// npm run soak -- load: only the files whose names contain "load".
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

/** Multiplies the repetitions of `npm test`; some tests have an upper limit. */
process.env.RIVULET_SOAK ??= '34'
const files = process.argv.slice(2)

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
if (files.length === 0) runNpm('run', '--silent', 'test:unit', '--', '--project', 'node', 'hostile', 'zoo')
runNpm(
  'run',
  '--silent',
  'test:e2e',
  '--',
  ...(files.length > 0 ? files : ['load', 'recovery', 'hostile', 'store', 'demo-lab']),
)
