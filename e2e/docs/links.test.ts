// The links of the documentation, in the repository and in the package.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { marked } from 'marked'
import { expect, it } from 'vitest'

interface Link {
  readonly href: string
  /** The linked file, relative to the repository. */
  readonly file: string
  /** The heading in the linked document, without `#`. */
  readonly heading: string | undefined
}

/** Reads the links and images of a document that lead to files. */
function readLinks(path: string): Link[] {
  const links: Link[] = []
  marked.walkTokens(marked.lexer(readFileSync(path, 'utf8')), (token) => {
    if (token.type !== 'link' && token.type !== 'image') return
    const { href } = token as { readonly href: string }
    if (/^[a-z]+:/.test(href)) return
    const [name, heading] = href.split('#') as [string, string | undefined]
    links.push({ href, file: name === '' ? path : normalize(join(dirname(path), name)), heading })
  })
  return links
}

/** The identifiers that GitHub gives to the headings of a document. */
function listHeadings(path: string): string[] {
  const headings: string[] = []
  marked.walkTokens(marked.lexer(readFileSync(path, 'utf8')), (token) => {
    if (token.type !== 'heading') return
    const text = (token as { readonly text: string }).text.replaceAll(/[`*]|\]\([^)]*\)/g, '')
    headings.push(
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(/\s/g, '-'),
    )
  })
  return headings
}

const listFiles = (command: string, ...options: string[]) =>
  execFileSync(command, options, { encoding: 'utf8', shell: process.platform === 'win32' })

/** The documents of the repository. */
const documents = listFiles('git', 'ls-files', '--cached', '--others', '--exclude-standard', '*.md')
  .trim()
  .split('\n')

it('every link of the documentation leads to a file and a heading that exist', () => {
  expect(documents.length).toBeGreaterThan(50)
  const broken = documents.flatMap((document) =>
    readLinks(document)
      .filter(
        ({ file, heading }) =>
          !existsSync(file) || (heading !== undefined && !listHeadings(file).includes(heading)),
      )
      .map(({ href }) => `${document}: ${href}`),
  )
  expect(broken).toEqual([])
})

it('every link of the packaged documents leads to a file of the package', () => {
  const [{ files }] = JSON.parse(listFiles('npm', 'pack', '--dry-run', '--json', '--ignore-scripts')) as [
    { readonly files: readonly { readonly path: string }[] },
  ]
  const packed = new Set(files.map(({ path }) => path))
  const packedDocuments = documents.filter((document) => packed.has(document))
  expect(packedDocuments).toContain('README.md')
  expect(packedDocuments).toContain('docs/guides/first-steps.md')
  const broken = packedDocuments.flatMap((document) =>
    readLinks(document)
      .filter(({ file }) => !packed.has(file) || statSync(file).isDirectory())
      .map(({ href }) => `${document}: ${href}`),
  )
  expect(broken).toEqual([])
})
