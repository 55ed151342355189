// The guide's configuration, which the test writes, with what differs here: the installed browser and the address.
import guide from './playwright.config'

const baseURL = `http://localhost:${process.env.APP_PORT}/`

export default {
  ...guide,
  reporter: 'json',
  testDir: 'tests',
  webServer: { command: `vite preview --port ${process.env.APP_PORT} --strictPort`, url: baseURL },
  use: {
    ...guide.use,
    baseURL,
    launchOptions: { ...guide.use?.launchOptions, executablePath: process.env.APP_CHROMIUM },
  },
}
