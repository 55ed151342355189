import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeRuntimeFile } from './runtime-files.js'

const folder = new URL('../../node_modules/onnxruntime-web/', import.meta.url)
const { version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { version: string }

it.each(['wasm', 'webgpu', 'jspi'] as const)(
  'the size and the hash of the file for %s are those of the installed onnxruntime-web',
  (build) => {
    const { path, ...pins } = describeRuntimeFile(build, version)
    const bytes = readFileSync(new URL(`dist/${path}`, folder))
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(pins).toEqual({ sizeBytes: bytes.length, sha256 })
  },
)

it('the file of another version has no hash', () => {
  expect(describeRuntimeFile('wasm', '9.9.9')).toEqual({ path: 'ort-wasm-simd-threaded.wasm' })
})
