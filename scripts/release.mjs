// Runs before `npm publish`: refuses a release whose npm page would have broken links, and builds the package and the API pages.
import { readFileSync, rmSync } from 'node:fs'
import { runNpm } from './bootstrap.mjs'
import { findReleaseProblems } from './release-problems.mjs'

const problems = findReleaseProblems(
  JSON.parse(readFileSync('package.json', 'utf8')),
  readFileSync('CHANGELOG.md', 'utf8'),
)
if (problems.length > 0) {
  console.error(`This version cannot be published yet.\n${problems.map((each) => `- ${each}`).join('\n')}`)
  process.exit(1)
}
// Without the files of earlier builds.
for (const folder of ['dist', 'dist-docs']) rmSync(folder, { recursive: true, force: true })
runNpm('run', '--silent', 'build')
runNpm('run', '--silent', 'build:docs')
console.log('The API pages are in dist-docs/. Upload this folder to the address in "homepage".')
