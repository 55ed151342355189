/// <reference types="vite/client" />
// The page that runs the documentation's examples, unchanged.
import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'

const examples = import.meta.glob(['../../.cache/docs/*.ts', '!../../.cache/docs/*.no-run.ts'])

interface Setup {
  readonly needsEngine: boolean
  readonly weightsSha256: string
}

/** Runs an example to its last line. Rejects with the error that the example throws. */
async function runExample(file: string, { needsEngine, weightsSha256 }: Setup): Promise<void> {
  const importExample = examples[`../../.cache/docs/${file}`]
  if (!importExample) throw new Error(`There is no example ${file}.`)
  Object.assign(globalThis, {
    messages: [{ role: 'user', content: 'Tell me a story about a dragon.' }],
    token: 'secret',
    weightsSha256,
    folderInput: document.createElement('input'),
    ...(needsEngine && { engine: await createEngine({ backend: onnx(), model: './models/stories/' }) }),
  })
  await importExample()
}

declare global {
  interface Window {
    runExample: typeof runExample
  }
}

Object.assign(window, { runExample })
