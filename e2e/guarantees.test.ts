import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { promises, subjects, tabulatePromises, transports } from './promises.js'

const guarantees = readFileSync('docs/guarantees.md', 'utf8')
const testFolders = ['lib', 'workers', 'demo', 'e2e']

/** The titles of all tests and groups of a file, with `…` for each expression in them. */
function readTitles(path: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest)
  const titles: string[] = []
  const visit = (node: ts.Node) => {
    if (ts.isCallExpression(node) && /^(test|it|describe)\b/.test(node.expression.getText(source))) {
      const title = node.arguments[0] && readTitle(node.arguments[0])
      if (title !== undefined) titles.push(title)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return titles
}

function readTitle(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return undefined
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('…')
}

/** Whether a text fits a pattern in which `…` stands for any text. */
function fits(text: string, pattern: string): boolean {
  const parts = pattern.split(/\s*…/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.*')}$`).test(text)
}

it('every test that docs/guarantees.md quotes exists', () => {
  const files = testFolders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(test|spec)\.tsx?$/.test(name))
      .map((name) => join(folder, name)),
  )
  // A title that is hardly more than an expression would fit every quote.
  const titles = [...Object.values(promises), ...files.flatMap(readTitles)].filter(
    (title) => !title.includes('…') || title.length > 12,
  )
  const quoted = [...guarantees.matchAll(/"(?<title>[^"\n]+)"/g)].map(({ groups }) => groups!.title!)
  expect(quoted.length).toBeGreaterThan(50)
  expect(quoted.filter((quote) => !titles.some((title) => fits(title, quote) || fits(quote, title)))).toEqual(
    [],
  )
})

it.each([
  ['backends', 'By backend', subjects],
  ['transports', 'By transport of `remote()`', transports],
] as const)('the table of %s in docs/guarantees.md is what contract.spec.ts tests', (_, heading, columns) => {
  const [, section] = guarantees.split(`\n## ${heading}\n`)
  const lines = section!
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => /^\| (?!-)/.test(line))
  const rows = lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  expect(rows).toEqual(tabulatePromises(columns))
})
