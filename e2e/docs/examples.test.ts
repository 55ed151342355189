// The examples of the documentation: read, and compiled as an app would compile them. docs.spec.ts runs them.
import { expect, it } from 'vitest'
import { checkTypes, writeExamples } from './examples-site.js'
import { readAllExamples, readExamples } from './read-examples.js'

const examples = readAllExamples()

/** The documents with an example that cannot run in a page, and the reason. */
const notRun: Readonly<Record<string, string>> = {
  'docs/guides/moving-from-webllm.md': 'the tests cannot download WebLLM’s compiled models',
  'docs/guides/security-headers.md': 'a build configuration, which runs in Node',
  'docs/guides/structured-output.md': 'the embedded model has no tools, and its values would say nothing',
  'docs/guides/testing.md': 'a test and its configuration: testing-guide.spec.ts runs them',
  'docs/guides/where-to-run-a-model.md': 'vLLM’s gRPC service has no stand-in for these examples',
}

it('every example compiles against the package', () => {
  const folder = '.cache/docs-compiled'
  writeExamples(examples, folder)
  expect(checkTypes(folder)).toBe('')
})

it('an example that does not compile is reported with its line in the document', () => {
  const broken = ['# Title', '', '```ts', "import { createEngine } from 'rivulet'", 'createEngin()', '```']
  const folder = '.cache/docs-broken'
  writeExamples(readExamples('guide.md', broken.join('\n')), folder)
  expect(checkTypes(folder)).toMatch(/guide\.md\.4\.ts\(5,1\): error TS2552/)
})

it('examples are read unchanged, and unknown marks are refused', () => {
  const read = (...lines: string[]) => readExamples('guide.md', lines.join('\n'))
  expect(read('```sh', 'npm start', '```', '', '```ts', 'const a = 1', '', 'a', '```')).toEqual([
    { name: 'guide.md:6', line: 6, code: 'const a = 1\n\na', isRun: true },
  ])
  expect(read('```ts no-run', 'a', '```')).toMatchObject([{ isRun: false }])
  expect(read('```ts unchecked', 'a', '```')).toEqual([])
  expect(() => read('```ts norun', 'a', '```')).toThrow('guide.md:1: Unknown mark "ts norun".')
  expect(() => read('```ts', 'a')).toThrow('guide.md:1: This block has no end.')
})

it('every document with a "no-run" example is listed here with the reason', () => {
  const marked = new Set(examples.filter(({ isRun }) => !isRun).map(({ name }) => name.replace(/:\d+$/, '')))
  expect([...marked].toSorted()).toEqual(Object.keys(notRun).toSorted())
})
