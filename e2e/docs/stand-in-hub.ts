import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { BrowserContext } from '@playwright/test'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The files of each repository: the embedded model as an ONNX folder and as a GGUF file. */
const small = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']
const weights = 'onnx/model_quantized.onnx'
const gguf = 'SmolLM2-135M-Instruct-Q4_K_M.gguf'
const large = [weights, gguf]

const read = (path: string) =>
  readFileSync(`demo/public/models/${path === gguf ? 'stories.gguf' : `stories/${path}`}`)

export const weightsSha256 = sha256(read(weights))

/** Describes a file as the hub does (huggingface_hub, `list_repo_tree`). */
function list(path: string) {
  const bytes = read(path)
  const hash = sha256(bytes)
  const entry = { type: 'file', path, size: bytes.length, oid: hash.slice(0, 40) }
  return large.includes(path) ? Object.assign(entry, { lfs: { oid: hash, size: bytes.length } }) : entry
}

/** Answers for the hub, which the tests cannot reach, with the same files for every repository. */
export async function standInForHub(context: BrowserContext): Promise<void> {
  const headers = { 'access-control-allow-origin': '*' }
  await context.route('https://huggingface.co/**', async (route) => {
    const { pathname } = new URL(route.request().url())
    if (pathname.startsWith('/api/models/')) {
      return route.fulfill({ headers, json: [...small, ...large].map(list) })
    }
    const path = /\/resolve\/[^/]+\/(.+)$/.exec(pathname)?.[1]
    const isThere = path !== undefined && [...small, ...large].includes(path)
    return isThere ? route.fulfill({ headers, body: read(path) }) : route.fulfill({ headers, status: 404 })
  })
}
