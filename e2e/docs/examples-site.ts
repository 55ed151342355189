import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { build, preview, type InlineConfig, type Plugin } from 'vite'
import type { Example } from './read-examples.js'

const folder = '.cache/docs'

/** Names the file of an example: `README.md.27.ts`. */
export function nameFile({ name, isRun }: Example): string {
  return `${name.replaceAll('/', '-').replace(':', '.')}${isRun ? '' : '.no-run'}.ts`
}

/** Writes the examples into a folder of this package, where they can import `rivulet` by name, as an app does. */
export function writeExamples(examples: readonly Example[], to = folder): void {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true })
  for (const example of examples) {
    // On the same line as in its document, so that compiler messages contain the document's line number.
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
    // An example may declare something only to show it.
    noUnusedLocals: false,
  },
  include: ['*.ts', '../../e2e/docs/globals.d.ts'],
}

/** @returns the compiler's messages, empty if there are none */
export function checkTypes(examplesFolder: string): string {
  const { stdout } = spawnSync('npx', ['tsc', '--project', examplesFolder, '--pretty', 'false'], {
    encoding: 'utf8',
  })
  return stdout
}

/** Keeps the examples in the build. They are part of rivulet's package, which declares that it has no side effects. */
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

/** Builds the examples into a page, as an app would, and serves it. */
export async function serveExamples(): Promise<{ url: string; close(): Promise<void> }> {
  await build(config)
  const { httpServer, resolvedUrls } = await preview(config)
  return {
    url: resolvedUrls!.local[0]!,
    close: () => new Promise((resolve) => httpServer.close(() => resolve())),
  }
}
