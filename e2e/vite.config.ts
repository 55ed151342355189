import { defineConfig } from 'vite'

/** Builds the bare test page as an app would be built. */
export default defineConfig({
  root: import.meta.dirname + '/page',
  base: './',
  cacheDir: '../../.cache/vite-e2e',
  publicDir: '../../demo/public',
  build: {
    outDir: '../../dist-e2e',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: ['index.html', 'react.html'].map((file) => `${import.meta.dirname}/page/${file}`),
      // React's 'use client' means nothing in a page.
      checks: { moduleLevelDirective: false },
    },
  },
  worker: { format: 'es' },
  preview: {
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
})
