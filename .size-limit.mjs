// What each entry costs a page: bundled, minified and gzipped, with all that it imports. Workers and runtimes come on their own.
import { readdirSync } from 'node:fs'

const folder = '.cache/entries'

/** What is fetched together, and the most that it may be. Why three of the main entry: docs/decisions/2026-11-25-size-of-the-main-entry.md. */
const rows = [
  ['rivulet', ['index/index.js'], '5 kB'],
  ['… and with createEngine(), comlink in it', ['index/engine-script.js'], '8 kB'],
  ['… both', ['index/index.js', 'index/engine-script.js'], '12.8 kB'],
  ['… and with createEngine({ onGeneration })', ['index/generation-record.js'], '1 kB'],
  ['rivulet/ai-sdk', ['ai-sdk/ai-sdk.js'], '1.5 kB'],
  ['rivulet/chat', ['chat/chat.js'], '4.5 kB'],
  ['rivulet/llama-cpp', ['llama-cpp/llama-cpp.js'], '1.8 kB'],
  ['rivulet/onnx', ['onnx/onnx.js'], '2 kB'],
  ['rivulet/openai', ['openai/openai.js'], '3.5 kB'],
  ['rivulet/react', ['react/react.js'], '4.5 kB'],
  ['rivulet/remote', ['remote/remote.js'], '1.5 kB'],
  ['rivulet/serve-openai', ['serve-openai/serve-openai.js'], '5 kB'],
  ['rivulet/web-llm', ['web-llm/web-llm.js'], '2.3 kB'],
]

const weighed = new Set(rows.flatMap(([, scripts]) => scripts))
const unweighed = readdirSync(folder, { recursive: true }).filter(
  (file) => file.endsWith('.js') && !weighed.has(file),
)
if (unweighed.length > 0) throw new Error(`.size-limit.mjs weighs nothing of: ${unweighed.join(', ')}.`)

export default rows.map(([name, scripts, limit]) => ({
  name,
  path: scripts.map((script) => `${folder}/${script}`),
  limit,
  gzip: true,
}))
