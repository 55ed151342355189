import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { build, preview, type InlineConfig, type Plugin } from 'vite'
import type { Example } from './read-examples.js'

const folder = '.cache/docs'

/** The file that an example is written to: `README.md.27.ts`. */
export function nameFile({ name, isRun }: Example): string {
  return `${name.replaceAll('/', '-').replace(':', '.')}${isRun ? '' : '.no-run'}.ts`
}

/** Writes the examples into a folder from which `rivulet` is found as in an app, by its name. */
export function writeExamples(examples: readonly Example[], to = folder): void {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true })
  for (const example of examples) {
    // As far down as in its document, so that a compiler's message names the document's line.
    const code = `${'\n'.repeat(example.line - 1)}${example.code}\nexport {}\n`
    writeFileSync(`${to}/${nameFile(example)}`, code)
  }
  writeFileSync(`${to}/tsconfig.json`, JSON.stringify(tsconfig))
}

const tsconfig = {
  extends: '../../tsconfig.base.json',
  compilerOptions: {
    lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    noEmit: true,
    // An example names what there is; it need not use it.
    noUnusedLocals: false,
  },
  include: ['*.ts', '../../e2e/docs/given.d.ts'],
}

/** @returns what the compiler has to say; empty where all is right */
export function checkTypes(of = folder): string {
  const { stdout } = spawnSync('npx', ['tsc', '--project', of, '--pretty', 'false'], { encoding: 'utf8' })
  return stdout
}

/** The examples lie in rivulet's own package, whose modules do nothing unless something of theirs is used. */
function keepExamples(): Plugin {
  return {
    name: 'rivulet-keep-examples',
    transform: (code, id) => (id.includes(`/${folder}/`) ? { code, moduleSideEffects: true } : undefined),
  }
}

const config: InlineConfig = {
  configFile: false,
  root: import.meta.dirname,
  base: './',
  cacheDir: '../../.cache/vite-docs',
  publicDir: '../../demo/public',
  logLevel: 'error',
  build: {
    outDir: '../../.cache/docs-site',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: 'es' },
  plugins: [keepExamples()],
  preview: {
    port: 4283,
    strictPort: true,
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
}

/** Builds a page of the examples, as an app is built, and serves it. */
export async function serveExamples(): Promise<{ url: string; close(): Promise<void> }> {
  await build(config)
  const { httpServer, resolvedUrls } = await preview(config)
  return {
    url: resolvedUrls!.local[0]!,
    close: () => new Promise((resolve) => httpServer.close(() => resolve())),
  }
}
