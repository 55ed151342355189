import { copyFile, mkdtemp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as XGrammar from '@mlc-ai/web-xgrammar'

const require = createRequire(import.meta.url)

/** Loads the package in Node, where its file is a CommonJS module that its package.json calls an ES module. */
export async function loadXgrammar(): Promise<typeof XGrammar> {
  const copy = join(await mkdtemp(join(tmpdir(), 'xgrammar-')), 'xgrammar.cjs')
  await copyFile(require.resolve('@mlc-ai/web-xgrammar'), copy)
  // The file has the types of the package.
  return require(copy) as typeof XGrammar
}
