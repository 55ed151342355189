import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { wllamaFile } from './fetch-wasm.js'

it('the size and the hash are those of the installed wllama', () => {
  const { path, ...pins } = wllamaFile
  const bytes = readFileSync(new URL(`../../node_modules/@wllama/wllama/esm/wasm/${path}`, import.meta.url))
  expect(pins).toEqual({
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
})
