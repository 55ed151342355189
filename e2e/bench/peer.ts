import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Plugin } from 'vite'

/** The version that rivulet is compared with. */
const transformersVersion = '4.3.1'
/** Its package for answers with a schema. */
const structuredOutput = { name: '@huggingface/transformers-structured-output', version: '4.3.0' }

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, '.cache/bench')
const packageFolder = join(folder, 'node_modules/@huggingface/transformers')
const structuredFolder = join(folder, 'node_modules', structuredOutput.name)
const shim = join(import.meta.dirname, 'page/onnxruntime.ts')

/**
 * Installs transformers.js into `.cache/bench` if it is missing. Install scripts are disabled: its dependency
 * onnxruntime-node would download binaries.
 * @returns its version
 */
export function ensureTransformers(): string {
  const manifest = join(packageFolder, 'package.json')
  const isInstalled =
    existsSync(manifest) &&
    readVersion(manifest) === transformersVersion &&
    existsSync(join(structuredFolder, 'package.json')) &&
    readVersion(join(structuredFolder, 'package.json')) === structuredOutput.version
  if (isInstalled) return transformersVersion
  console.log(`Installing transformers.js ${transformersVersion} …`)
  mkdirSync(folder, { recursive: true })
  // Without a package.json here, npm would install into the repository's own node_modules.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--prefix', folder]
  const packages = [
    `@huggingface/transformers@${transformersVersion}`,
    `${structuredOutput.name}@${structuredOutput.version}`,
  ]
  execFileSync('npm', ['install', ...options, ...packages], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  return readVersion(manifest)
}

/** Returns the version in a package.json. */
export function readVersion(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version
}

/** Resolves transformers.js for the page, and replaces its pinned ONNX Runtime with the build that rivulet uses. */
export function resolveTransformers(): Plugin {
  return {
    name: 'rivulet-bench-transformers',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source === '@huggingface/transformers') return join(packageFolder, 'dist/transformers.web.js')
      if (source === structuredOutput.name) return join(structuredFolder, 'dist/index.js')
      const isTransformers = importer?.includes('@huggingface/transformers')
      return isTransformers && source === 'onnxruntime-web/webgpu' ? shim : undefined
    },
  }
}
