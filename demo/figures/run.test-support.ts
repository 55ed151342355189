import { recordRun, type Run } from './run.js'

/** Creates an artificial run: ten tokens, one every `gapMs`. */
export function createRun(prompt: string, { startedAt = 0, gapMs = 10 } = {}): Run {
  const model = {
    name: 'stories',
    backend: 'onnx',
    device: 'wasm',
    deviceDescription: 'CPU, 1 thread',
    dtype: 'q8',
  } as const
  const recorder = recordRun(prompt, model, 0)
  for (let token = 1; token <= 10; token += 1) {
    recorder.addChunk({ chunk: { tokenCount: 1 }, readMs: token * gapMs, unreadChunks: 1, recoveries: 0 })
  }
  const result = {
    text: '',
    finishReason: 'stop',
    usage: { promptTokens: 20, cachedPromptTokens: 0, completionTokens: 10 },
    latency: {
      timeToFirstTokenMs: gapMs,
      firstTokenChannel: 'text',
      timeToFirstTextMs: undefined,
      interTokenLatencyMs: { p50: gapMs, p90: gapMs, p95: gapMs, p99: gapMs, max: gapMs },
      queueMs: 0,
      prefillTokensPerSecond: 1000,
      decodeTokensPerSecond: 1000 / gapMs,
      decodeMs: 9 * gapMs,
      totalMs: 11 * gapMs,
      model: undefined,
    },
    recoveries: 0,
    reasoning: '',
    toolCalls: [],
    parts: [],
  } as const
  return { ...recorder.finish({ kind: 'finished', result }), startedAt }
}
