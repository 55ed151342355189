import { defineConfig } from '@playwright/test'
import base from '../../playwright.config.js'

const { webServer: _server, projects: _projects, ...settings } = base

/** Apps built by other bundlers, with the packed package. */
export default defineConfig(settings, {
  testDir: '.',
  testIgnore: [],
  outputDir: '../../.cache/test-results/consumers',
  timeout: 300_000,
})
