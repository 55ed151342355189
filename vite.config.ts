import { defineConfig } from 'vite'

export default defineConfig({
  root: 'demo',
  // Relative, so that the built demo can be put into any folder of any host.
  base: './',
  build: { outDir: '../dist-demo', emptyOutDir: true, target: 'es2022', sourcemap: true },
  worker: { format: 'es' },
})
