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

/**
 * Has TypeScript check JSON against a type of the `openai` package, as a literal written there would be: what lacks, what
 * is of another type and what the type does not have.
 * @param file where the checked source is left to read, below the repository, whose packages it imports
 * @param type of one of the values, such as `OpenAI.Model`
 * @returns the source text of what the type does not allow, without repetitions
 */
export function checkTypes(file: string, values: readonly unknown[], type: string): string[] {
  const literals = values.map((value) => `  ${JSON.stringify(value)} satisfies ${type},`)
  const source = ["import type OpenAI from 'openai'", 'export const values = [', ...literals, ']', '']
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, source.join('\n'))
  const program = ts.createProgram([file], compilerOptions)
  const places = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const message = ts.flattenDiagnosticMessageText(messageText, ' ')
    if (!file) throw new Error(message)
    return findProperty(file, start) ?? `${file.text.slice(start, start + 40)}: ${message}`
  })
  return [...new Set(places)]
}

/** The innermost property that begins at a place, as `name: value`. */
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
