import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { tabulateFeatures } from './features.js'

it('the table in docs/guides/browsers.md is what core.spec.ts tests', () => {
  const guide = readFileSync('docs/guides/browsers.md', 'utf8')
  const [, section = ''] = guide.split('\n## What is tested\n')
  const lines = section
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => /^\| (?!-)/.test(line))
  const rows = lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  expect(rows).toEqual(tabulateFeatures())
})
