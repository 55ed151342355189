// Node, without dependencies: this is what makes a clean clone runnable.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'

/**
 * Installs the pinned packages where they are missing or older than the lockfile. Not `npm ci`: that fails where a
 * registry lacks the binaries of other platforms, which are optional and not in the lockfile.
 */
export function ensureInstalled() {
  const installed = 'node_modules/.package-lock.json'
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync('package-lock.json').mtimeMs) return
  console.log('Installing packages …')
  runNpm('install', '--no-save', '--no-audit', '--no-fund')
}

/**
 * Runs npm; ends this process with npm's exit code when it fails.
 * @param {string[]} args
 */
export function runNpm(...args) {
  const { status } = spawnSync('npm', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}
