import { defineConfig } from 'vite'

const page = import.meta.dirname + '/page'

/** Builds the bare test page as an app would. */
export default defineConfig({
  root: page,
  base: './',
  cacheDir: '../../.cache/vite-e2e',
  publicDir: '../../demo/public',
  build: {
    outDir: '../../dist-e2e',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: ['index.html', 'react.html', 'strict.html', 'service-worker.ts'].map(
        (file) => `${page}/${file}`,
      ),
      // Browsers identify a service worker by its URL, so its name has no hash.
      output: {
        entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
      },
      // React's 'use client' has no effect in a page.
      checks: { moduleLevelDirective: false, pluginTimings: false },
    },
  },
  worker: { format: 'es', rolldownOptions: { checks: { pluginTimings: false } } },
  preview: {
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
})
