import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeRange } from './check-request.js'
import { describeOption, optionNames, type BackendName, type OptionRow } from './contract/option-table.js'

const backends: readonly BackendName[] = ['onnx', 'llama-cpp', 'web-llm', 'remote', 'prompt-api']
const guide = new URL('../docs/guides/options.md', import.meta.url)
const docstrings = new URL('./contract/request.ts', import.meta.url)

function describeValue({ value }: OptionRow): string {
  if (value.kind === 'number') return describeRange(value)
  if (value.kind === 'token-bias') return `token ids to numbers from -${value.limit} to ${value.limit}`
  if (value.kind === 'variables') return 'an object with values of JSON'
  if (value.kind === 'strings') return `a string or up to ${value.maxStrings}`
  if (value.kind === 'format') return 'a schema, `json`, `{ regex }` or `{ grammar }`'
  if (value.kind === 'tools') return `up to ${value.maxTools} tools`
  if (value.kind === 'tool-choice') return '`auto`, `none`, `required` or `{ name }`'
  if (value.kind === 'reasoning') return '`on`, `off` or `{ maxTokens }`'
  return 'true or false'
}

/** Option name → the text after `@default` in its docstring, on one line. */
function readDefaults(): ReadonlyMap<string, string> {
  const source = readFileSync(docstrings, 'utf8')
  const found = source.matchAll(/@default ([^@]*?)\s*\*\/\s*readonly (\w+)\?/g)
  return new Map([...found].map(([, text, name]) => [name!, text!.replaceAll(/\s*\n\s*\* ?/g, ' ').trim()]))
}

/** The guide's table, from the option table and the docstrings. */
function writeTable(): string[][] {
  const defaults = readDefaults()
  const header = ['option', 'value', 'default', 'OpenAI field', ...backends]
  const rows = optionNames.map((name) => {
    const row = describeOption(name)
    const marks = backends.map((backend) => (row.backends.includes(backend) ? 'yes' : 'no'))
    const fields = row.openAi.map((field) => `\`${field}\``).join(', ')
    return [`\`${name}\``, describeValue(row), defaults.get(name) ?? '', fields].concat(marks)
  })
  return [header, ...rows]
}

it('the guide lists every option with its range, default, OpenAI field and backends', () => {
  const lines = readFileSync(guide, 'utf8').split('\n')
  const cells = lines
    .filter((line) => line.startsWith('|') && !line.startsWith('| -'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  expect(cells).toEqual(writeTable())
})
