// Bundles each entry by itself, as Vite does for an app, so that size-limit can weigh it.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const { exports, peerDependencies } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
)

/** The entries that a page imports; the others are workers, or Node's, which have a condition. */
const pageEntries = Object.values(exports)
  .filter((path) => typeof path === 'string' && path.startsWith('./dist/lib/'))
  .map((path) => basename(path, '.js'))

export default pageEntries.map((entry) => ({
  input: `dist/lib/${entry}.js`,
  external: Object.keys(peerDependencies),
  // React's `'use client'` says something to a framework, and nothing of the size.
  onLog(level, log, report) {
    if (log.code !== 'MODULE_LEVEL_DIRECTIVE') report(level, log)
  },
  output: { dir: `.cache/entries/${entry}`, cleanDir: true, minify: true },
}))
