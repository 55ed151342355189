import { createReadStream, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build, preview, type InlineConfig, type Plugin } from 'vite'
import { modelsFolder } from './models.js'
import { resolveTransformers } from './peer.js'

const config: InlineConfig = {
  configFile: false,
  root: join(import.meta.dirname, 'page'),
  base: './',
  appType: 'mpa',
  cacheDir: resolve(import.meta.dirname, '../../.cache/vite-bench'),
  logLevel: 'warn',
  build: {
    outDir: resolve(import.meta.dirname, '../../.cache/bench/page'),
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: Infinity,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  worker: { format: 'es', plugins: () => [resolveTransformers()] },
  preview: {
    host: 'localhost',
    // WASM threads and `measureUserAgentSpecificMemory` need a cross-origin isolated page.
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
  plugins: [serveModels()],
}

/** Builds and serves the page. The models are served below `models/`. */
export async function serveBenchPage(): Promise<{ url: string; close(): Promise<void> }> {
  await build(config)
  const server = await preview(config)
  const url = server.resolvedUrls?.local[0]
  if (url === undefined) throw new Error('The preview server has no local URL.')
  return { url, close: () => server.close() }
}

/** Serves the models from their folder: copying hundreds of megabytes into the build would waste disk space. */
function serveModels(): Plugin {
  return {
    name: 'rivulet-bench-models',
    configurePreviewServer({ middlewares }) {
      middlewares.use('/models', (request, response) => {
        const path = join(
          modelsFolder,
          join('/', decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)),
        )
        const file = statSync(path, { throwIfNoEntry: false })
        if (!file?.isFile()) return void response.writeHead(404).end()
        response.writeHead(200, { 'content-length': file.size })
        if (request.method === 'HEAD') response.end()
        else createReadStream(path).pipe(response)
      })
    },
  }
}
