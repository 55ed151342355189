import { join } from 'node:path'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { chooseLaunchOptions } from './scripts/chromium.mjs'
import { precacheDemo } from './scripts/precache-demo.mjs'
import { serveSmolLm2 } from './scripts/smollm2.mjs'

const root = import.meta.dirname
const unitTests = ['lib', 'workers', 'demo', 'e2e'].map((folder) => `${folder}/**/*.test.{ts,tsx}`)
const browserTests = unitTests.map((pattern) => pattern.replace('.test.', '.browser.test.'))

/** The demo and the unit tests. `*.browser.test.ts` runs in a real browser, every other test in Node. */
export default defineConfig({
  root: 'demo',
  cacheDir: '../.cache/vite',
  // Relative, so that the built demo works in any folder of any host.
  base: './',
  build: {
    outDir: '../dist-demo',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 1000,
    rolldownOptions: { input: ['index.html', 'lab.html'].map((file) => `${root}/demo/${file}`) },
  },
  worker: { format: 'es' },
  plugins: [serveSmolLm2(), precacheDemo(join(root, 'demo/service-worker/service-worker.ts'))],
  preview: {
    // A cross-origin isolated page may use WASM threads.
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
  test: {
    projects: [
      // No test has a time limit. On a busy machine vitest's default of five seconds would be one.
      { root, test: { name: 'node', include: unitTests, exclude: browserTests, testTimeout: 60_000 } },
      {
        root,
        cacheDir: '.cache/vitest',
        optimizeDeps: {
          // ONNX Runtime looks for its WebAssembly beside its own module. The others are listed because vite reloads the
          // running tests when it discovers a dependency.
          exclude: ['onnxruntime-web', 'onnxruntime-web/wasm', 'onnxruntime-web/webgpu'],
          include: [
            '@bufbuild/protobuf',
            '@bufbuild/protobuf/codegenv2',
            '@huggingface/tokenizers',
            '@mlc-ai/web-llm',
            '@preact/signals',
            'comlink',
            'hash-wasm',
            'idb',
            'marked',
            'preact',
            'preact/hooks',
            'preact/jsx-dev-runtime',
            'react',
            'react-dom/client',
          ],
        },
        test: {
          name: 'browser',
          include: browserTests,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: chooseLaunchOptions() }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
})
