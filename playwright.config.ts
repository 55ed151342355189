import { defineConfig } from '@playwright/test'
import { chooseLaunchOptions } from './scripts/chromium.mjs'

const launchOptions = chooseLaunchOptions()
/** Else a browser gives no more adapters after its GPU process has crashed twice, as some tests have it do. */
const allowCrashes = ['--disable-domain-blocking-for-3d-apis', '--disable-gpu-process-crash-limit']

/** Real models on real WebGPU and WASM, in the built demo and in a bare page. */
export default defineConfig({
  testDir: 'e2e',
  testIgnore: ['consumers/**', 'eval/**'],
  outputDir: '.cache/test-results',
  // A software adapter computes on every core: tests side by side would only wait for each other.
  workers: 1,
  timeout: 180_000,
  expect: { timeout: 60_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: 'list',
  use: {
    browserName: 'chromium',
    baseURL: 'http://localhost:4281/',
    launchOptions: { ...launchOptions, args: [...launchOptions.args, ...allowCrashes] },
  },
  webServer: [
    {
      command: 'npm run --silent build:demo && npx vite preview --port 4281 --strictPort',
      url: 'http://localhost:4281/',
    },
    {
      command:
        'npx vite build --config e2e/vite.config.ts --logLevel warn && npx vite preview --config e2e/vite.config.ts --port 4282 --strictPort',
      url: 'http://localhost:4282/',
    },
  ],
})
