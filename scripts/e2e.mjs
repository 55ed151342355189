// npm run test:e2e: the tests that run side by side, then those that need the machine for themselves. Arguments are Playwright's.
import { spawnSync } from 'node:child_process'

const runs = [
  ['--project=side by side', '--workers=2'],
  ['--project=by itself', '--workers=1'],
]
// What is named, by a file or a title, may be in one of them alone.
const chosen = process.argv.slice(2)
if (chosen.length > 0) chosen.push('--pass-with-no-tests')
for (const [index, run] of runs.entries()) {
  const env = { ...process.env, ...(index > 0 && { RIVULET_IS_BUILT: '1' }) }
  const { status } = spawnSync('npx', ['playwright', 'test', ...run, ...chosen], { stdio: 'inherit', env })
  // What failed is then the last that is printed.
  if (status !== 0) process.exit(status ?? 1)
}
