// Uses no npm packages, because it runs before any is installed.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromiumArguments } from '../lib/playwright/chromium-arguments.mjs'

const commands = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser']
const macApplications = ['Google Chrome', 'Chromium'].map(
  (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
)

/**
 * Finds an installed Chrome or Chromium.
 * @returns {string | undefined} its path: `RIVULET_CHROMIUM` if set, else the first one found
 */
export function findChromium() {
  if (process.env.RIVULET_CHROMIUM) return process.env.RIVULET_CHROMIUM
  for (const command of commands) {
    const { status, stdout } = spawnSync('which', [command], { encoding: 'utf8' })
    if (status === 0) return stdout.trim()
  }
  return macApplications.find(existsSync)
}

/**
 * Returns Playwright's launch options for this repository's tests and scripts. WebGPU runs on a graphics card if
 * `RIVULET_GPU=hardware` is set, else on SwiftShader.
 */
export function chooseLaunchOptions() {
  const args = chromiumArguments(process.env.RIVULET_GPU === 'hardware' ? 'hardware' : 'software')
  const executablePath = findChromium()
  return { args, ...(executablePath && { executablePath }) }
}

/**
 * Ensures that a Chromium is available: an installed one, else Playwright's download, else Debian's package (as root).
 * @throws Error if none can be installed
 */
export function ensureChromium() {
  if (findChromium()) return
  const isInstalledByPlaywright = () => {
    const { stdout } = spawnSync('npx', ['playwright', 'install', '--list'], { encoding: 'utf8' })
    return /chromium/.test(stdout ?? '')
  }
  if (isInstalledByPlaywright()) return
  console.log('Chrome or Chromium is not installed. Downloading Chromium with Playwright …')
  if (spawnSync('npx', ['playwright', 'install', 'chromium'], { stdio: 'inherit' }).status === 0) return
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log("Playwright could not download Chromium. Installing Debian's chromium package …")
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' })
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
      stdio: 'inherit',
    })
    if (findChromium()) return
  }
  throw new Error(
    'Chrome or Chromium was not found. Install one, or set RIVULET_CHROMIUM to its path, and run this command again.',
  )
}
