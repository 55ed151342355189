// Runs buf, which has a program for each platform.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { generateProtos, protoFolders } from '../scripts/generate-protos.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const hasBuf = existsSync(join(root, `node_modules/@bufbuild/buf-${process.platform}-${process.arch}`))

it.skipIf(!hasBuf).for(protoFolders)('the generated code of %s is that of its .proto file', (folder) => {
  const output = mkdtempSync(join(tmpdir(), 'rivulet-protos-'))
  try {
    generateProtos(folder, output)
    const files = readdirSync(output)
    expect(files).toHaveLength(1)
    for (const file of files) {
      expect(readFileSync(join(root, folder, file), 'utf8')).toBe(readFileSync(join(output, file), 'utf8'))
    }
  } finally {
    rmSync(output, { recursive: true })
  }
})
