// The built type declarations, compiled as an app with strict settings compiles them. Needs `npm run build`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const { exports: entries } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
}

const settings = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  strict: true,
  exactOptionalPropertyTypes: true,
  lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
  skipLibCheck: false,
  noEmit: true,
  types: ['node'],
} satisfies ts.CompilerOptions

const names = Object.keys(entries).filter((name) => name !== './package.json')
const source = `import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'
${names.map((name, index) => `export * as entry${index} from '${name.replace(/^\./, 'rivulet')}'`).join('\n')}
const engine = await createEngine({ backend: onnx(), model: './model/' })
export const text: string = await engine.generate('Hello').text()
await engine.dispose()
`

it('the types of all entries compile without skipLibCheck, and with the library ES2022', () => {
  const folder = `${root}.cache/package-types/`
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}app.ts`, source)
  const program = ts.createProgram([`${folder}app.ts`], settings)
  // Without the errors in the declarations of other packages.
  const errors = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => !file?.fileName.includes('/node_modules/'))
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
  expect(errors).toEqual([])
})
