// What each entry costs a page: bundled, minified and gzipped, with all that it imports. Workers and runtimes come on their own.
import { readdirSync } from 'node:fs'

const folder = '.cache/entries'

/** The script of each entry, and its limit. Why the main entry is one script: docs/decisions/2026-11-27-one-script.md. */
const rows = [
  ['rivulet', 'index/index.js', '24.9 kB'],
  ['rivulet/ai-sdk', 'ai-sdk/ai-sdk.js', '2.4 kB'],
  ['rivulet/chat', 'chat/chat.js', '11.2 kB'],
  ['rivulet/grpc-web', 'grpc-web/grpc-web.js', '1.1 kB'],
  ['rivulet/llama-cpp', 'llama-cpp/llama-cpp.js', '2.7 kB'],
  ['rivulet/llama-cpp-compat', 'llama-cpp-compat/llama-cpp-compat.js', '0.3 kB'],
  ['rivulet/onnx', 'onnx/onnx.js', '3 kB'],
  ['rivulet/openai', 'openai/openai.js', '9.5 kB'],
  ['rivulet/opentelemetry', 'opentelemetry/opentelemetry.js', '1.2 kB'],
  ['rivulet/prompt-api', 'prompt-api/prompt-api.js', '31 kB'],
  ['rivulet/prompt-api-backend', 'prompt-api-backend/prompt-api-backend.js', '3.2 kB'],
  ['rivulet/react', 'react/react.js', '11.6 kB'],
  ['rivulet/remote', 'remote/remote.js', '2.1 kB'],
  ['rivulet/responses', 'responses/responses.js', '1.6 kB'],
  ['rivulet/routing', 'routing/routing.js', '4.4 kB'],
  ['rivulet/serve-openai', 'serve-openai/serve-openai.js', '10.9 kB'],
  ['rivulet/web-llm', 'web-llm/web-llm.js', '2.6 kB'],
  ['rivulet/xgrammar', 'xgrammar/xgrammar.js', '0.5 kB'],
]

const weighed = new Set(rows.map(([, script]) => script))
const unweighed = readdirSync(folder, { recursive: true }).filter(
  (file) => file.endsWith('.js') && !weighed.has(file),
)
if (unweighed.length > 0) throw new Error(`.size-limit.mjs weighs nothing of: ${unweighed.join(', ')}.`)

export default rows.map(([name, script, limit]) => ({
  name,
  path: `${folder}/${script}`,
  limit,
  gzip: true,
}))
