// Node, without dependencies: the bootstrap needs it before anything is installed.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chromiumArguments } from '../lib/playwright/chromium-arguments.mjs'

const commands = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser']
const macApplications = ['Google Chrome', 'Chromium'].map(
  (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
)

/**
 * An installed Chrome or Chromium.
 * @returns {string | undefined} its path; `RIVULET_CHROMIUM` names one outright
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
 * What this repository's own browsers are launched with: WebGPU on a graphics card with `RIVULET_GPU=hardware`, else on
 * SwiftShader.
 */
export function chooseLaunchOptions() {
  const args = chromiumArguments(process.env.RIVULET_GPU === 'hardware' ? 'hardware' : 'software')
  const executablePath = findChromium()
  return { args, ...(executablePath && { executablePath }) }
}

/** Sees to a Chromium: an installed one, else Playwright's download, else Debian's package as root, else a clear end. */
export function ensureChromium() {
  if (findChromium()) return
  const isInstalledByPlaywright = () => {
    const { stdout } = spawnSync('npx', ['playwright', 'install', '--list'], { encoding: 'utf8' })
    return /chromium/.test(stdout ?? '')
  }
  if (isInstalledByPlaywright()) return
  console.log('No Chrome or Chromium is installed: asking Playwright for one.')
  if (spawnSync('npx', ['playwright', 'install', 'chromium'], { stdio: 'inherit' }).status === 0) return
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log("Playwright could not download a browser: installing Debian's chromium.")
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' })
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], {
      stdio: 'inherit',
    })
    if (findChromium()) return
  }
  throw new Error(
    'Install Chrome or Chromium, or set RIVULET_CHROMIUM to the path of one, and run this again.',
  )
}
