// npm run bench: rivulet against transformers.js in real Chromium, a table in the terminal and in .cache/bench.
// npm run bench -- --rounds 1 --contexts 64 --only host,host-stack --models bench-135m: quick, and less of it.
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

/** @param {string} value */
function readCount(value) {
  const count = Number(value)
  if (Number.isInteger(count) && count > 0) return count
  throw new Error(`"${value}" is not a count.`)
}

ensureInstalled()
ensureChromium()
runNpm('run', '--silent', 'build')
const { runnerImport } = await import('vite')
/** @type {{ module: typeof import('../e2e/bench/bench.ts') }} */
const { module } = await runnerImport(fileURLToPath(new URL('../e2e/bench/bench.ts', import.meta.url)))
await module.runBench({
  rounds: readCount(values.rounds),
  contexts: splitList(values.contexts)
    .map(readCount)
    .toSorted((a, b) => a - b),
  sections: splitList(values.only),
  models: splitList(values.models),
})
