import { join, resolve } from 'node:path'
import { build, type InlineConfig } from 'vite'
import { resolveTransformers } from './peer.js'

/** The built page. */
export const pageFolder = resolve(import.meta.dirname, '../../.cache/bench/page')

const config: InlineConfig = {
  configFile: false,
  root: join(import.meta.dirname, 'page'),
  base: './',
  appType: 'mpa',
  cacheDir: resolve(import.meta.dirname, '../../.cache/vite-bench'),
  logLevel: 'warn',
  build: {
    outDir: pageFolder,
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: Infinity,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  worker: { format: 'es', plugins: () => [resolveTransformers()] },
}

export async function buildBenchPage(): Promise<void> {
  await build(config)
}
