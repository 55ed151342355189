// npm run eval:stories: evaluates the stories of the embedded model and of its version 1, and prints a table.
// npm run eval:stories -- --model <folder>: also evaluates another export. Further options: --temperature, --max-tokens.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureInstalled } from './bootstrap.mjs'

const { values } = parseArgs({
  options: {
    model: { type: 'string', multiple: true, default: [] },
    temperature: { type: 'string', default: '0.7' },
    'max-tokens': { type: 'string', default: '400' },
  },
})

ensureInstalled()
const { runnerImport } = await import('vite')
/** @type {{ module: typeof import('../e2e/eval/eval.ts') }} */
const { module } = await runnerImport(fileURLToPath(new URL('../e2e/eval/eval.ts', import.meta.url)))
await module.evalStories({
  models: values.model,
  temperature: Number(values.temperature),
  maxTokens: Number(values['max-tokens']),
})
