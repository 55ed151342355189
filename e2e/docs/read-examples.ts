import { readdirSync, readFileSync } from 'node:fs'

/** A fenced `ts` block of the documentation. Blocks marked `unchecked` are left out: they need other packages. */
export interface Example {
  /** The file and the line on which its code begins: `README.md:27`. */
  readonly name: string
  /** Starts at 1. */
  readonly line: number
  readonly code: string
  /** False for a block marked `no-run` after the fence's `ts`: it compiles, but cannot run in a page. */
  readonly isRun: boolean
}

const guides = 'docs/guides/'

/** Reads the examples of the README and of all guides, in order. */
export function readAllExamples(): Example[] {
  const names = readdirSync(guides).filter((name) => name.endsWith('.md'))
  const paths = ['README.md', ...names.map((name) => guides + name)]
  return paths.flatMap((path) => readExamples(path, readFileSync(path, 'utf8')))
}

const opening = /^```(?<info>\S.*)$/

/**
 * Reads a document's `ts` blocks, unchanged. Blocks in other languages are skipped.
 * @throws Error for an unknown mark and for a block without an end
 */
export function readExamples(path: string, markdown: string): Example[] {
  const lines = markdown.split(/\r?\n/)
  const examples: Example[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const info = opening.exec(lines[index]!)?.groups?.info
    if (info === undefined) continue
    const end = lines.indexOf('```', index + 1)
    if (end === -1) throw new Error(`${path}:${index + 1}: This block has no end. Close it with \`\`\`.`)
    const [language, mark, ...rest] = info.split(/\s+/)
    const line = index + 2
    if (language === 'ts' && mark !== 'unchecked') {
      if (rest.length > 0 || (mark !== undefined && mark !== 'no-run')) {
        throw new Error(
          `${path}:${line - 1}: Unknown mark "${info}". Mark a block "no-run" or "unchecked", or not at all.`,
        )
      }
      const code = lines.slice(line - 1, end).join('\n')
      examples.push({ name: `${path}:${line}`, line, code, isRun: mark === undefined })
    }
    index = end
  }
  return examples
}
