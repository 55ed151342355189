import { defineConfig } from 'vite'

const page = import.meta.dirname + '/page'

/** Builds the bare test page as an app would be built. */
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
      // A service worker's address is what browsers know it by.
      output: {
        entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
      },
      // React's 'use client' means nothing in a page.
      checks: { moduleLevelDirective: false },
    },
  },
  worker: { format: 'es' },
  preview: {
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
})
