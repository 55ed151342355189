import { expect, it } from 'vitest'
import { findReleaseProblems } from '../scripts/release-problems.mjs'

const manifest = {
  version: '1.2.3',
  homepage: 'https://docs.example/rivulet/',
  repository: { url: 'git+https://git.example/team/rivulet.git' },
  bugs: { url: 'https://git.example/team/rivulet/issues' },
}
const changelog = '# Changelog\n\n## 1.2.3 (2026-12-01)\n\n- A change.\n\n## 1.2.2 (2026-11-01)\n'

it('a version with the addresses that the npm page needs, and with a dated list of changes, can be published', () => {
  expect(findReleaseProblems(manifest, changelog)).toEqual([])
})

it('a version without them is refused, with what to do about each', () => {
  const { version } = manifest
  const unreleased = changelog.replace('(2026-12-01)', '(unreleased)')
  const bugs = { url: 'issues' }
  expect(findReleaseProblems({ version, bugs }, unreleased)).toEqual([
    'Set the address of the public repository: npm pkg set repository.url=https://…',
    'Set the address of the API pages, which this script builds: npm pkg set homepage=https://…',
    'Set the address of the issues: npm pkg set bugs.url=https://…',
    'Write the date of the release into CHANGELOG.md: ## 1.2.3 (YYYY-MM-DD)',
  ])
  expect(findReleaseProblems(manifest, changelog.replaceAll('1.2.3', '1.3.0'))).toHaveLength(1)
})
