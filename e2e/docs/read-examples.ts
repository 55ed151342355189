import { readdirSync, readFileSync } from 'node:fs'

/** A fenced `ts` block of the documentation; one that is marked `unchecked` is of a package that is not installed here. */
export interface Example {
  /** The file and the line on which its code begins: `README.md:27`. */
  readonly name: string
  /** From 1. */
  readonly line: number
  readonly code: string
  /** Not so where it is marked `no-run` behind the fence's `ts`: it is compiled, but cannot run in a page. */
  readonly isRun: boolean
}

const guides = 'docs/guides/'

/** The examples of the README and of all guides, in their order. */
export function readAllExamples(): Example[] {
  const names = readdirSync(guides).filter((name) => name.endsWith('.md'))
  const paths = ['README.md', ...names.map((name) => guides + name)]
  return paths.flatMap((path) => readExamples(path, readFileSync(path, 'utf8')))
}

const opening = /^```(?<info>\S.*)$/

/**
 * A document's `ts` blocks, unchanged. Other languages are not ours to hold.
 * @throws Error for a mark that is not known, and for a block that does not end
 */
export function readExamples(path: string, markdown: string): Example[] {
  const lines = markdown.split(/\r?\n/)
  const examples: Example[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const info = opening.exec(lines[index]!)?.groups?.info
    if (info === undefined) continue
    const end = lines.indexOf('```', index + 1)
    if (end === -1) throw new Error(`${path}:${index + 1}: this block does not end.`)
    const [language, mark, ...rest] = info.split(/\s+/)
    const line = index + 2
    if (language === 'ts' && mark !== 'unchecked') {
      if (rest.length > 0 || (mark !== undefined && mark !== 'no-run')) {
        throw new Error(
          `${path}:${line - 1}: "${info}" is not known; a block can be marked "no-run" or "unchecked".`,
        )
      }
      const code = lines.slice(line - 1, end).join('\n')
      examples.push({ name: `${path}:${line}`, line, code, isRun: mark === undefined })
    }
    index = end
  }
  return examples
}
