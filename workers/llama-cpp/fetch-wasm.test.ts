import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { wllamaFiles } from './fetch-wasm.js'

it.each([
  ['default', '@wllama/wllama/esm/wasm/wllama.wasm'],
  ['compat', '@wllama/wllama-compat/wasm/wllama.wasm'],
] as const)('the size and the hash are those of the installed build: %s', (build, path) => {
  const { sizeBytes, sha256 } = wllamaFiles[build]
  const bytes = readFileSync(new URL(`../../node_modules/${path}`, import.meta.url))
  expect({ sizeBytes, sha256 }).toEqual({
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
})
