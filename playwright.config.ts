import { defineConfig } from '@playwright/test'
import { chooseLaunchOptions } from './scripts/chromium.mjs'

const launchOptions = chooseLaunchOptions()
/** Else a browser gives no more adapters after its GPU process has crashed twice, as some tests have it do. */
const allowCrashes = ['--disable-domain-blocking-for-3d-apis', '--disable-gpu-process-crash-limit']

/**
 * A page compiles ten to thirty megabytes of WebAssembly anew for each test, and the optimizing compiler computes on beside
 * the test for as long again: here it gets only what is truly hot.
 */
const compileLess = '--js-flags=--wasm-tiering-budget=100000000'
/** What a software adapter computes, on every core, or what depends on how fast the machine is. */
const needsMachine = /\b(contract|demo-frames|load|recovery|streaming)\.spec\.ts|@alone/

const demoServer = 'npx vite preview --port 4281 --strictPort'
const pageServer = 'npx vite preview --config e2e/vite.config.ts --port 4282 --strictPort'
/** The second run of `npm run test:e2e` serves what the first has built. */
const isBuilt = process.env.RIVULET_IS_BUILT !== undefined

/** Real models on real WebGPU and WASM, in the built demo and in a bare page. */
export default defineConfig({
  testDir: 'e2e',
  testIgnore: ['consumers/**', 'eval/**'],
  outputDir: '.cache/test-results',
  // `npm run test:e2e` runs one project behind the other, the first with two workers.
  workers: 1,
  projects: [
    { name: 'side by side', grepInvert: needsMachine },
    { name: 'by itself', grep: needsMachine },
  ],
  timeout: 180_000,
  expect: { timeout: 60_000 },
  forbidOnly: Boolean(process.env.CI),
  // What passes only then is listed as flaky at the end.
  retries: process.env.CI ? 1 : 0,
  reporter: 'list',
  use: {
    browserName: 'chromium',
    baseURL: 'http://localhost:4281/',
    launchOptions: { ...launchOptions, args: [...launchOptions.args, ...allowCrashes, compileLess] },
  },
  webServer: [
    {
      command: isBuilt ? demoServer : `npm run --silent build:demo && ${demoServer}`,
      url: 'http://localhost:4281/',
    },
    {
      command: isBuilt
        ? pageServer
        : `npx vite build --config e2e/vite.config.ts --logLevel warn && ${pageServer}`,
      url: 'http://localhost:4282/',
    },
  ],
})
