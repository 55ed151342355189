// npm test: everything that CI runs, also on a clean clone. npm test -- unit browsers: only these tests.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureBrowsers } from './browsers.mjs'
import { ensureChromium } from './chromium.mjs'
import { ensureLavapipe } from './lavapipe.mjs'

const all = [
  'format',
  'types',
  'lint',
  'package',
  'size',
  'unused',
  'docs',
  'unit',
  'e2e',
  'browsers',
  'consumers',
]
/**
 * Leaves out what is too slow, or tested elsewhere. The npm scripts run everything.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const onlyFast = {
  // Each bundler takes minutes to install and build.
  consumers: ['--', '--grep', '@ci'],
  // `test:e2e` runs Chromium, whose WebGPU is slow on the CPU.
  browsers: ['--', '--grep-invert', 'chromium', '--pass-with-no-tests'],
}
const chosen = process.argv.slice(2)
const unknown = chosen.find((name) => !all.includes(name))
if (unknown) throw new Error(`There is no test "${unknown}". Choose from: ${all.join(', ')}.`)
/** Firefox and WebKit take three minutes, which CI does not have: `npm run soak` runs them. */
const onlyChosen = new Set(['browsers'])
const names = all.filter((name) => (chosen.length > 0 ? chosen.includes(name) : !onlyChosen.has(name)))

ensureInstalled()
ensureChromium()
if (['unit', 'e2e', 'browsers'].some((name) => names.includes(name))) ensureLavapipe()
if (names.includes('browsers')) ensureBrowsers()
if (names.includes('e2e')) {
  // If it fails, the tests that need the model try again and report the reason.
  const script = fileURLToPath(new URL('prepare-smollm2.mjs', import.meta.url))
  const preparing = spawn(process.execPath, [script], { stdio: 'ignore' })
  preparing.unref()
  process.on('exit', () => preparing.kill())
}
runNpm('run', '--silent', 'build')
for (const name of names) {
  console.log(`\n── test:${name}`)
  runNpm('run', '--silent', `test:${name}`, ...(onlyFast[name] ?? []))
  // `test:browsers` serves the pages that `test:e2e` has built.
  if (name === 'e2e') process.env.RIVULET_IS_BUILT = '1'
}
