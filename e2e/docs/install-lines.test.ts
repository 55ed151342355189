// The install lines of the documentation: what they install must be what rivulet works with.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const { peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly peerDependencies: Readonly<Record<string, string>>
}

const documents = [
  'README.md',
  ...readdirSync('docs/guides')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/guides/${name}`),
]

/** The packages of all `npm install` lines: `document: package@version`. */
const installed = documents.flatMap((document) =>
  [...readFileSync(document, 'utf8').matchAll(/npm install (?<packages>[^\n`]+)/g)].flatMap(({ groups }) =>
    groups!
      .packages!.split(/\s+/)
      .filter((each) => each !== '' && !each.startsWith('-'))
      .map((each) => {
        const [, name, version] = /^(@?[^@]+)(?:@(.+))?$/.exec(each)!
        return { document, name: name!, version }
      }),
  ),
)

it('every install line names the version that rivulet needs', () => {
  expect(installed.length).toBeGreaterThan(10)
  const wrong = installed.filter(({ name, version }) => {
    const range = peerDependencies[name]
    if (range === undefined) return false
    // A pinned peer: another version ends in an error of npm.
    if (/^\d/.test(range)) return version !== range
    return version !== undefined && !range.includes(`^${version.split('.')[0]}`)
  })
  expect(wrong).toEqual([])
})
