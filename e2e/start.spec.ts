import { spawnSync } from 'node:child_process'
import { expect, test } from '@playwright/test'

for (const [what, args, complaint] of [
  ['--once without a prompt', ['--once'], /--once.* argument missing/],
  ['an empty prompt', ['--once', ' '], /prompt is empty/],
  ['an option that there is not', ['--twice'], /Unknown option '--twice'/],
] as const) {
  test(`npm start with ${what} says how it is used`, () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/start.mjs', ...args], {
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    expect(stderr).toMatch(complaint)
    expect(stderr).toContain('npm start -- --once "prompt"')
    expect(stderr).not.toContain('    at ')
  })
}
