// npm start: serves the demo. npm start -- --once "prompt": runs the demo page headless and prints the answer.
import { parseArgs } from 'node:util'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'
import { fetchSmolLm2 } from './smollm2.mjs'

const usage = `Usage:
npm start                       serve the demo on this machine
npm start -- --once "prompt"    answer one prompt in the terminal (runs the demo page headless)
             --device wasm      auto (default), webgpu or wasm (CPU); only with --once`

const values = readArguments()

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { once: { type: 'string' }, device: { type: 'string', default: 'auto' } },
    })
    if (values.once?.trim() === '') throw new Error('The prompt is empty. Pass a text after --once.')
    return values
  } catch (error) {
    console.error(`${/** @type {Error} */ (error).message}\n\n${usage}`)
    process.exit(1)
  }
}

ensureInstalled()
runNpm('run', '--silent', 'build')
runNpm('run', '--silent', 'build:demo')
const { preview } = await import('vite')
const server = await preview()
const url = server.resolvedUrls?.local[0]
if (url === undefined) throw new Error('The preview server has no local URL.')
if (values.once === undefined) {
  console.log(`\nDemo: ${url}`)
  console.log(`Demo with SmolLM2-135M-Instruct: ${url}?model=smollm2-135m-instruct\n`)
  const failure = await fetchSmolLm2()
  if (failure !== undefined) {
    console.log(
      `SmolLM2-135M-Instruct could not be downloaded (${failure}). The page will load it from the Hugging Face Hub.`,
    )
  }
} else {
  ensureChromium()
  const { streamOnce } = await import('./stream-once.mjs')
  await streamOnce(url, values.once, values.device)
  await server.close()
}
