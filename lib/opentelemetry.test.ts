import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { RivuletError } from './contract/errors.js'
import type { ModelInfo } from './contract/worker-api.js'
import type { GenerationResult } from './generation.js'
import { allSupport } from './model-support.test-support.js'
import type { GenerationOutcome, GenerationStart } from './observer.js'
import { recordGenerations, type GenerationRecord } from './opentelemetry.js'

const info: ModelInfo = {
  model: 'https://visitor:key@models.example/private/stories/?token=abc',
  backend: 'onnx',
  device: 'wasm',
  deviceDescription: '1 thread',
  dtype: 'q8',
  host: 'tab',
  execution: 'growing-cache',
  warnings: [],
  contextLength: 512,
  supports: allSupport,
}

const start: GenerationStart = {
  generation: 1,
  startedAt: performance.now() - 900,
  prompt: [{ role: 'user', content: 'A secret question' }],
  input: 'chat',
  options: { seed: 7, temperature: 0.5, maxTokens: 100, stop: [] },
  info,
}

const latency = {
  timeToFirstTokenMs: 250,
  firstTokenChannel: 'text' as const,
  timeToFirstTextMs: undefined,
  interTokenLatencyMs: { p50: 20, p90: 40, p95: 40, p99: 40, max: 40 },
  queueMs: 12,
  prefillTokensPerSecond: 50,
  decodeTokensPerSecond: 40,
  decodeMs: 60,
  totalMs: 900,
  model: undefined,
}
const figures = {
  usage: { promptTokens: 40, cachedPromptTokens: 30, completionTokens: 3 },
  latency,
  recoveries: 1,
}
const result: GenerationResult = {
  text: 'A secret answer',
  finishReason: 'stop',
  reasoning: '',
  toolCalls: [],
  parts: [],
  ...figures,
}
const finished: GenerationOutcome = { kind: 'finished', result }

const error = new RivuletError('device-lost', 'The GPU was lost.')
error.text = 'A secret answer'
const failed: GenerationOutcome = {
  kind: 'failed',
  error,
  figures: {
    ...figures,
    latency: { ...latency, timeToFirstTokenMs: undefined, interTokenLatencyMs: undefined },
  },
}

/** The record of one observed generation. */
function record(outcome: GenerationOutcome, changes: Partial<GenerationStart> = {}): GenerationRecord {
  const records: GenerationRecord[] = []
  const observer = recordGenerations((each) => records.push(each))
  const started = { ...start, ...changes }
  observer.onStart?.(started)
  observer.onEnd?.({ generation: 1, info: started.info, outcome })
  expect(records).toHaveLength(1)
  return records[0]!
}

describe('the record of a generation', () => {
  it('uses the names of the conventions for generative AI', () => {
    const { name, kind, attributes, status, startTime, endTime } = record(finished)
    expect({ name, kind, status }).toEqual({
      name: 'chat stories',
      kind: SpanKind.INTERNAL,
      status: { code: SpanStatusCode.UNSET },
    })
    expect(endTime - startTime).toBeCloseTo(900)
    expect(Math.abs(endTime - Date.now())).toBeLessThan(60_000)
    expect(attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'rivulet',
      'gen_ai.output.type': 'text',
      'gen_ai.request.model': 'stories',
      'gen_ai.request.stream': true,
      'gen_ai.request.seed': 7,
      'gen_ai.request.max_tokens': 100,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.response.model': 'stories',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.response.time_to_first_chunk': 0.25,
      'gen_ai.usage.input_tokens': 40,
      'gen_ai.usage.cache_read.input_tokens': 30,
      'gen_ai.usage.output_tokens': 3,
      'rivulet.backend': 'onnx',
      'rivulet.device': 'wasm',
      'rivulet.queue': 0.012,
      'rivulet.inter_token_latency.p50': 0.02,
      'rivulet.inter_token_latency.p99': 0.04,
      'rivulet.recoveries': 1,
    })
  })

  it('of a failure has its code and message, and no time to first token', () => {
    const { attributes, status } = record(failed)
    expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'The GPU was lost.' })
    expect(attributes).toMatchObject({
      'error.type': 'device-lost',
      'gen_ai.response.finish_reasons': ['error'],
    })
    expect(attributes).not.toHaveProperty(['gen_ai.response.time_to_first_chunk'])
  })

  it('of an answer with a form, tools and reasoning has what it was, without its contents', () => {
    const toolCalls = ['look', 'my secret'].map((name) => ({ id: name, name, arguments: '{"at":"secret"}' }))
    const outcome: GenerationOutcome = {
      kind: 'finished',
      result: {
        ...result,
        toolCalls,
        finishReason: 'tool-calls',
        usage: { ...result.usage, reasoningTokens: 2 },
      },
    }
    const options = {
      stop: [],
      responseFormat: { kind: 'json-schema', schema: { const: 'secret' } },
      tools: [{ name: 'look', parameters: { const: 'secret' } }],
    } as const
    const recorded = record(outcome, { options })
    expect(recorded.attributes).toMatchObject({
      'gen_ai.output.type': 'json',
      'gen_ai.response.finish_reasons': ['tool_call'],
      'gen_ai.usage.reasoning.output_tokens': 2,
      'rivulet.tools': ['look'],
      'rivulet.tool_calls': ['look', 'unknown'],
    })
    expect(JSON.stringify(recorded)).not.toContain('secret')
  })

  it.each([finished, failed])('contains no text, and of a URL only its last part', (outcome) => {
    expect(JSON.stringify(record(outcome))).not.toMatch(/secret|private|visitor|key|token=/)
  })

  it('of raw text is a completion', () => {
    expect(record(finished, { input: 'text' }).name).toBe('text_completion stories')
    expect(record(finished).name).toBe('chat stories')
  })

  it.each([
    ['llm.example:8000', { 'server.address': 'llm.example', 'server.port': 8000 }],
    ['llm.example', { 'server.address': 'llm.example' }],
    ['[::1]:8000', { 'server.address': '[::1]', 'server.port': 8000 }],
    ['llm.example:443', { 'server.address': 'llm.example', 'server.port': 443 }],
    ['llm.example:80', { 'server.address': 'llm.example', 'server.port': 80 }],
  ])('of a server at %s has the kind of a client, and its address', (deviceDescription, address) => {
    const server: ModelInfo = { ...info, model: 'org/Model-8B', device: 'server', deviceDescription }
    const { name, kind, attributes } = record(finished, { info: server })
    expect({ name, kind }).toEqual({ name: 'chat org/Model-8B', kind: SpanKind.CLIENT })
    expect(attributes).toMatchObject(address)
    expect('server.port' in attributes).toBe('server.port' in address)
  })

  it('becomes an OpenTelemetry span with the three lines of its docstring', () => {
    const exporter = new InMemorySpanExporter()
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    const failure = record(failed)
    const span = provider.getTracer('test').startSpan(failure.name, failure)
    span.setStatus(failure.status)
    span.end(failure.endTime)
    const [seen] = exporter.getFinishedSpans()
    expect(seen).toMatchObject({
      name: failure.name,
      kind: failure.kind,
      attributes: failure.attributes,
      status: failure.status,
    })
    const [seconds, nanoseconds] = seen!.duration
    expect(seconds * 1000 + nanoseconds / 1e6).toBeCloseTo(900, 0)
  })
})
