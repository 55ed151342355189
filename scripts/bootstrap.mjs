// Uses no npm packages, because it runs in a clean clone before any is installed.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'

/**
 * Installs the pinned packages if they are missing or older than the lockfile. Does not use `npm ci`: it fails if the
 * registry lacks the binaries of other platforms, which are optional and not in the lockfile.
 */
export function ensureInstalled() {
  const installed = 'node_modules/.package-lock.json'
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync('package-lock.json').mtimeMs) return
  console.log('Installing packages …')
  // npm's warnings are about packages of the tests: some name a newer Node than they need.
  runNpm('install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error')
}

/**
 * Runs npm. If it fails, exits this process with npm's exit code.
 * @param {string[]} args
 */
export function runNpm(...args) {
  const { status } = spawnSync('npm', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}
