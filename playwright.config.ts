import { defineConfig } from '@playwright/test'
import { barePageUrl, demoPort, demoUrl, pagePort } from './e2e/ports.js'
import { isSoak } from './e2e/soak.js'
import { chooseLaunchOptions } from './scripts/chromium.mjs'
import { chooseLavapipe } from './scripts/lavapipe.mjs'

const launchOptions = chooseLaunchOptions()
/** Without these a browser returns no adapter after its GPU process has crashed twice; some tests crash it. */
const allowCrashes = ['--disable-domain-blocking-for-3d-apis', '--disable-gpu-process-crash-limit']

/**
 * Each test's page compiles ten to thirty megabytes of WebAssembly again, and the optimizing compiler then takes as much
 * CPU time beside the test. With this budget it only compiles the hottest functions.
 */
const compileLess = '--js-flags=--wasm-tiering-budget=100000000'
/** Needs the machine to itself: it measures times or memory. */
const alone = /@alone\b/
/** Is slow and seldom fails: only `npm run soak` runs it. */
const onlyInSoak = isSoak ? [] : [/@soak\b/]

const lavapipe = chooseLavapipe()
/** They have configurations of their own. */
const others = ['consumers/**', 'browsers/**']
/** Runs only in the project of this name. */
const onlyLavapipe = '**/lavapipe*.spec.ts'

const demoServer = `npx vite preview --port ${demoPort} --strictPort`
const pageServer = `npx vite preview --config e2e/vite.config.ts --port ${pagePort} --strictPort`
/** The second run of `npm run test:e2e` serves the pages that the first run built. */
const isBuilt = process.env.RIVULET_IS_BUILT !== undefined

/** Real models on real WebGPU and WASM, in the built demo and in a bare page. */
export default defineConfig({
  testDir: 'e2e',
  testMatch: '**/*.spec.ts',
  testIgnore: others,
  outputDir: '.cache/test-results',
  // `npm run test:e2e` runs these projects one after the other, the first with two workers.
  workers: 1,
  projects: [
    { name: 'side by side', grepInvert: [alone, ...onlyInSoak], testIgnore: [...others, onlyLavapipe] },
    { name: 'alone', grep: alone, grepInvert: onlyInSoak, testIgnore: [...others, onlyLavapipe] },
    {
      name: 'lavapipe',
      grepInvert: onlyInSoak,
      testMatch: onlyLavapipe,
      ...('launchOptions' in lavapipe && { use: { launchOptions: lavapipe.launchOptions } }),
    },
  ],
  timeout: 180_000,
  expect: { timeout: 60_000 },
  forbidOnly: Boolean(process.env.CI),
  // A test that only passes in the second try is listed as flaky at the end.
  retries: process.env.CI ? 1 : 0,
  reporter: 'list',
  use: {
    browserName: 'chromium',
    baseURL: demoUrl,
    launchOptions: { ...launchOptions, args: [...launchOptions.args, ...allowCrashes, compileLess] },
  },
  webServer: [
    {
      command: isBuilt ? demoServer : `npm run --silent build:demo && ${demoServer}`,
      url: demoUrl,
      cwd: import.meta.dirname,
    },
    {
      command: isBuilt
        ? pageServer
        : `npx vite build --config e2e/vite.config.ts --logLevel warn && ${pageServer}`,
      url: barePageUrl,
      cwd: import.meta.dirname,
    },
  ],
})
