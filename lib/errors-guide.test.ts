// The table of error codes in the guide, and the codes in the source.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

it('the guide explains every error code, in the order of the source', () => {
  const union = /export type ErrorCode =([^/]*)/.exec(read('./contract/errors.ts'))![1]!
  const codes = [...union.matchAll(/'([a-z-]+)'/g)].map(([, code]) => code)
  const [, table] = read('../docs/guides/first-steps.md').split('## Errors')
  const rows = [...table!.matchAll(/^\| `([a-z-]+)`/gm)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(10)
  expect(rows).toEqual(codes)
})
