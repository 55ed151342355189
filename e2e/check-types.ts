import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import ts from 'typescript'

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  noEmit: true,
  types: [],
} satisfies ts.CompilerOptions

/** Its parsed libraries are used again by the next check. */
let previous: ts.Program | undefined

/**
 * Checks JSON against a type of the `openai` package with TypeScript, like a literal in source code: missing properties,
 * properties of another type, and unknown properties.
 * @param file where the checked source is written, inside the repository, because it imports its packages
 * @param type the type of each value, such as `OpenAI.Model`
 * @returns the source text of everything that the type does not allow, without repetitions
 */
export function checkTypes(file: string, values: readonly unknown[], type: string): string[] {
  const literals = values.map((value) => `  ${JSON.stringify(value)} satisfies ${type},`)
  const source = ["import type OpenAI from 'openai'", 'export const values = [', ...literals, ']', '']
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, source.join('\n'))
  previous = ts.createProgram([file], compilerOptions, undefined, previous)
  const places = ts.getPreEmitDiagnostics(previous).map(({ file, start = 0, messageText }) => {
    const message = ts.flattenDiagnosticMessageText(messageText, ' ')
    if (!file) throw new Error(message)
    return findProperty(file, start) ?? `${file.text.slice(start, start + 40)}: ${message}`
  })
  return [...new Set(places)]
}

/** @returns the innermost property that starts at a position, as `name: value` */
function findProperty(file: ts.SourceFile, start: number): string | undefined {
  let found: string | undefined
  const visit = (node: ts.Node) => {
    if (ts.isPropertyAssignment(node) && node.getStart(file) === start) {
      found = `${node.name.getText(file).replaceAll('"', '')}: ${node.initializer.getText(file)}`
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}
