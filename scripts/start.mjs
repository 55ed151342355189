// npm start: the demo on this machine. npm start -- --once "prompt": the same page, headless, in the terminal.
import { parseArgs } from 'node:util'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'
import { fetchSmolLm2 } from './smollm2.mjs'

const usage = `npm start                       the demo on this machine
npm start -- --once "prompt"    the same page, headless, in the terminal
             --device wasm      on the CPU; webgpu, or auto, which is the default`

const values = readArguments()

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { once: { type: 'string' }, device: { type: 'string', default: 'auto' } },
    })
    if (values.once?.trim() === '') throw new Error('The prompt is empty.')
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
if (url === undefined) throw new Error('The preview server has no address on this machine.')
if (values.once === undefined) {
  console.log(`\nThe demo is at ${url}`)
  console.log(`SmolLM2-135M-Instruct is at ${url}?model=smollm2-135m-instruct\n`)
  const complaint = await fetchSmolLm2()
  if (complaint !== undefined) {
    console.log(`SmolLM2-135M-Instruct is not served from here (${complaint}): the page asks the hub for it.`)
  }
} else {
  ensureChromium()
  const { streamOnce } = await import('./stream-once.mjs')
  await streamOnce(url, values.once, values.device)
  await server.close()
}
