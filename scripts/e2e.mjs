// npm run test:e2e: runs the parallel tests, then those that need the whole machine. Arguments are passed to Playwright.
import { spawnSync } from 'node:child_process'

const runs = [
  ['--project=side by side', '--workers=2'],
  ['--project=by itself', '--workers=1'],
]
// A selected file or title may be in only one of the two projects.
const playwrightArguments = process.argv.slice(2)
if (playwrightArguments.length > 0) playwrightArguments.push('--pass-with-no-tests')
for (const [index, run] of runs.entries()) {
  const env = { ...process.env, ...(index > 0 && { RIVULET_IS_BUILT: '1' }) }
  const { status } = spawnSync('npx', ['playwright', 'test', ...run, ...playwrightArguments], {
    stdio: 'inherit',
    env,
  })
  // Stop here, so that the failures are the last output.
  if (status !== 0) process.exit(status ?? 1)
}
