// npm run bench:bundle: packs the benchmark for a machine with a graphics card and without a network (e2e/bench/README.md).
import { fileURLToPath } from 'node:url'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
const { runnerImport } = await import('vite')
/** @type {{ module: typeof import('../e2e/bench/bundle/pack.ts') }} */
const { module } = await runnerImport(fileURLToPath(new URL('../e2e/bench/bundle/pack.ts', import.meta.url)))
console.log(
  `Run run.py on the machine that is to be measured. Copy this folder there: ${await module.packBench()}`,
)
