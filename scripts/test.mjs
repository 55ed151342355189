// npm test: runs everything that CI runs; works in a clean clone. npm test -- unit e2e: only these.
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

const all = ['format', 'types', 'lint', 'package', 'size', 'unused', 'docs', 'unit', 'e2e', 'consumers']
/** Installing and building with all bundlers takes minutes: only `npm run test:consumers` runs them all. */
const onlyFast = ['--', '--grep', '@ci']
const chosen = process.argv.slice(2)
const unknown = chosen.find((name) => !all.includes(name))
if (unknown) throw new Error(`Unknown test "${unknown}". Use one or more of: ${all.join(', ')}.`)

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
for (const name of all) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  console.log(`\n── test:${name}`)
  runNpm('run', '--silent', `test:${name}`, ...(name === 'consumers' ? onlyFast : []))
}
