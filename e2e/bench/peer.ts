import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Plugin } from 'vite'

/** What rivulet is compared with. */
const transformersVersion = '4.3.1'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, '.cache/bench')
const packageFolder = join(folder, 'node_modules/@huggingface/transformers')
const shim = join(import.meta.dirname, 'page/onnxruntime.ts')

/**
 * Installs transformers.js into `.cache/bench`, once. Without install scripts: its onnxruntime-node would download.
 * @returns its version
 */
export function ensureTransformers(): string {
  const manifest = join(packageFolder, 'package.json')
  if (existsSync(manifest) && readVersion(manifest) === transformersVersion) return transformersVersion
  console.log(`Installing transformers.js ${transformersVersion} …`)
  mkdirSync(folder, { recursive: true })
  // Ends npm's search for a project: without it the packages would go to this one.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--prefix', folder]
  execFileSync('npm', ['install', ...options, `@huggingface/transformers@${transformersVersion}`], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  return readVersion(manifest)
}

/** The version in a package's manifest. */
export function readVersion(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version
}

/** Lets the page import transformers.js, and gives that rivulet's own build of ONNX Runtime instead of the one it pins. */
export function resolveTransformers(): Plugin {
  return {
    name: 'rivulet-bench-transformers',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source === '@huggingface/transformers') return join(packageFolder, 'dist/transformers.web.js')
      const isTransformers = importer?.includes('@huggingface/transformers')
      return isTransformers && source === 'onnxruntime-web/webgpu' ? shim : undefined
    },
  }
}
