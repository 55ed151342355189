// npm run bench: compares rivulet with other libraries in Chromium; prints a table and writes .cache/bench/results.json.
// npm run bench -- --rounds 1 --contexts 64 --only host,host-stack --models bench-135m: a quick run of a few sections.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    contexts: { type: 'string', default: '64,512,2000' },
    only: { type: 'string', default: '' },
    models: { type: 'string', default: '' },
  },
})

/** @param {string} list */
const splitList = (list) => list.split(',').filter(Boolean)

/**
 * @param {string} option
 * @param {string} value
 */
function readCount(option, value) {
  const count = Number(value)
  if (Number.isInteger(count) && count > 0) return count
  throw new Error(`--${option}: "${value}" is not a positive integer.`)
}

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
const { runnerImport } = await import('vite')
/** @type {{ module: typeof import('../e2e/bench/bench.ts') }} */
const { module } = await runnerImport(fileURLToPath(new URL('../e2e/bench/bench.ts', import.meta.url)))
await module.runBench({
  rounds: readCount('rounds', values.rounds),
  contexts: splitList(values.contexts)
    .map((value) => readCount('contexts', value))
    .toSorted((a, b) => a - b),
  sections: splitList(values.only),
  models: splitList(values.models),
})
