// npm run test:e2e: first the tests that can run side by side, then those that need the machine to themselves, and those on
// lavapipe.
// Arguments are passed to Playwright.
import { spawnSync } from 'node:child_process'
import { chooseLavapipe } from './lavapipe.mjs'

const lavapipe = chooseLavapipe()
if ('unavailable' in lavapipe) console.log(`lavapipe.spec.ts is skipped. ${lavapipe.unavailable}`)
const runs = [
  ['--project=side by side', '--workers=2'],
  ['--project=alone', '--project=lavapipe', '--workers=1'],
]
const chosen = process.argv.slice(2)
// Chosen files or titles may be in only one of the two.
if (chosen.length > 0) chosen.push('--pass-with-no-tests')
for (const [index, run] of runs.entries()) {
  const env = { ...process.env, ...(index > 0 && { RIVULET_IS_BUILT: '1' }) }
  const { status } = spawnSync('npx', ['playwright', 'test', ...run, ...chosen], { stdio: 'inherit', env })
  // Stop here, so that the failing test is the last thing printed.
  if (status !== 0) process.exit(status ?? 1)
}
