// Runs the library's backend without the rest of the stack: its tokens are read inside the worker.
import { startProbe } from './probe.js'
import { createOnnxBackend } from '../../../dist/workers/onnx/onnx-backend.js'
import { serveLoop } from './loop-worker.js'

const { signal } = new AbortController()
let backend = createOnnxBackend()

serveLoop({
  async load({ model: { url, dtype }, device }) {
    const download = { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 30_000 }
    const request = {
      model: { kind: 'folder', url },
      download,
      options: { device, dtype },
      lifeLock: '',
    } as const
    await backend.load(request, { onProgress() {}, onLost() {}, signal })
  },
  async answer({ prompt, maxTokens }) {
    const input = { kind: 'text', text: prompt } as const
    const options = { maxTokens, temperature: 0, stop: [] }
    const tokenTimesMs: number[] = []
    let promptTokens = 0
    let text = ''
    const startMs = performance.now()
    for await (const step of backend.generate({ input, options }, { signal, queueMs: 0 })) {
      if (step.kind === 'started') {
        promptTokens = step.promptTokens ?? 0
      } else if (step.kind === 'chunk') {
        if (step.tokenCount > 0) tokenTimesMs.push(performance.now())
        text += step.text
      }
    }
    return { promptTokens, text, times: { startMs, tokenTimesMs } }
  },
  async unload() {
    await backend.unload()
    backend = createOnnxBackend()
  },
})

startProbe()
