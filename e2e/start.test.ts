import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'

for (const [condition, args, complaint] of [
  ['--once has no prompt', ['--once'], /--once.* argument missing/],
  ['the prompt is empty', ['--once', ' '], /prompt is empty/],
  ['an option is unknown', ['--twice'], /Unknown option '--twice'/],
] as const) {
  it(`npm start prints its usage if ${condition}`, () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/start.mjs', ...args], {
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    expect(stderr).toMatch(complaint)
    expect(stderr).toContain('npm start -- --once "prompt"')
    expect(stderr).not.toContain('    at ')
  })
}
