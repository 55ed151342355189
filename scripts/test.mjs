// npm test: everything that CI runs, on a clean clone too. npm test -- unit e2e: only these.
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

const all = ['format', 'types', 'lint', 'package', 'size', 'unused', 'docs', 'unit', 'e2e', 'consumers']
/** Bundlers take minutes to install and build: all of them are for `npm run test:consumers`. */
const onlyFast = ['--', '--grep', '@ci']
const chosen = process.argv.slice(2)
const unknown = chosen.find((name) => !all.includes(name))
if (unknown) throw new Error(`There is no test "${unknown}". There are: ${all.join(', ')}.`)

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
for (const name of all) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  console.log(`\n── test:${name}`)
  runNpm('run', '--silent', `test:${name}`, ...(name === 'consumers' ? onlyFast : []))
}
