import { defineConfig } from '@playwright/test'
import { webGpuLaunchOptions } from 'rivulet/playwright'

export default defineConfig({
  use: {
    browserName: 'chromium',
    baseURL: 'http://localhost:4281/',
    launchOptions: webGpuLaunchOptions(),
  },
})
