// npm start: the demo on this machine. npm start -- --once "prompt": the same page, headless, in the terminal.
import { parseArgs } from 'node:util'
import { ensureInstalled, runNpm } from './bootstrap.mjs'
import { ensureChromium } from './chromium.mjs'

const { values } = parseArgs({
  options: { once: { type: 'string' }, device: { type: 'string', default: 'auto' } },
})

ensureInstalled()
runNpm('run', '--silent', 'build')
runNpm('run', '--silent', 'build:demo')
const { preview } = await import('vite')
const server = await preview()
const url = server.resolvedUrls?.local[0]
if (url === undefined) throw new Error('The preview server has no address on this machine.')
if (values.once === undefined) {
  console.log(`\nThe demo is at ${url}\n`)
} else {
  ensureChromium()
  const { streamOnce } = await import('./stream-once.mjs')
  await streamOnce(url, values.once, values.device)
  await server.close()
}
