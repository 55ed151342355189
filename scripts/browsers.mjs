// The browsers of `npm run test:browsers`. Uses no npm packages, because it runs before any is installed.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const macFirefox = '/Applications/Firefox.app/Contents/MacOS/firefox'
/** Debian's Python, for which Debian's bindings of GTK are. */
const systemPython = '/usr/bin/python3'

/** @typedef {{ executablePath: string } | { unavailable: string }} Chosen */

/**
 * Finds an installed Firefox: `RIVULET_FIREFOX` if set, else Firefox ESR, else Firefox.
 * @returns {Chosen}
 */
export function chooseFirefox() {
  const executablePath =
    process.env.RIVULET_FIREFOX ??
    findCommand('firefox-esr') ??
    findCommand('firefox') ??
    (existsSync(macFirefox) ? macFirefox : undefined)
  if (executablePath) return { executablePath }
  return { unavailable: 'Firefox was not found. Install it, or set RIVULET_FIREFOX to its path.' }
}

/**
 * Finds what runs e2e/browsers/webkit-shell.py.
 * @returns {Chosen}
 */
export function chooseWebKit() {
  if (!findCommand('WebKitWebDriver') || !findCommand('Xvfb'))
    return { unavailable: "WebKit needs Debian's packages webkit2gtk-driver and xvfb, or their likes." }
  const script = 'import gi; gi.require_version("WebKit2", "4.1")'
  if (spawnSync(systemPython, ['-c', script]).status !== 0)
    return {
      unavailable: "WebKit needs Debian's packages python3-gi and gir1.2-webkit2-4.1, or their likes.",
    }
  return { executablePath: systemPython }
}

/** Installs Firefox and WebKit on Debian, as root. Elsewhere, or if that fails, the tests of a missing browser do not run. */
export function ensureBrowsers() {
  const packages = [
    ...('unavailable' in chooseFirefox() ? ['firefox-esr'] : []),
    ...('unavailable' in chooseWebKit()
      ? ['webkit2gtk-driver', 'gir1.2-webkit2-4.1', 'python3-gi', 'xvfb']
      : []),
  ]
  if (packages.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return
  console.log(`Installing Debian's packages ${packages.join(', ')} …`)
  try {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' })
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  } catch (error) {
    console.log(`They could not be installed: ${error}`)
  }
}

/** @param {string} command */
function findCommand(command) {
  const { status, stdout } = spawnSync('which', [command], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}
