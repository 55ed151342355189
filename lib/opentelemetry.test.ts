import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/options.js'
import type { ModelInfo } from './contract/worker-api.js'
import { createRecord, type GenerationEnd } from './generation-record.js'

const request: GenerateRequest = {
  prompt: [{ role: 'user', content: 'A secret question' }],
  seed: 7,
  temperature: 0.5,
  maxTokens: 100,
  stop: [],
}

const info: ModelInfo = {
  model: 'https://visitor:key@models.example/private/stories/?token=abc',
  backend: 'onnx',
  device: 'wasm',
  deviceDescription: '1 thread',
  dtype: 'q8',
  execution: 'growing-cache',
  contextLength: 512,
  hasChatTemplate: true,
  canContinue: true,
}

const end: GenerationEnd = {
  outcome: { kind: 'finished', finishReason: 'stop' },
  usage: { promptTokens: 40, cachedPromptTokens: 30, completionTokens: 3 },
  latency: {
    timeToFirstTokenMs: 250,
    interTokenLatencyMs: { p50: 20, p90: 40, p95: 40, p99: 40, max: 40 },
    queueMs: 12,
    prefillTokensPerSecond: 50,
    decodeTokensPerSecond: 40,
    totalMs: 900,
    model: undefined,
  },
  recoveries: 1,
}

const error = new RivuletError('device-lost', 'The GPU was lost.')
error.text = 'A secret answer'
const failed: GenerationEnd = {
  ...end,
  outcome: { kind: 'failed', error },
  latency: { ...end.latency, timeToFirstTokenMs: undefined, interTokenLatencyMs: undefined },
}

describe('the record of a generation', () => {
  it('names operation, model and figures as the conventions for generative AI do', () => {
    const { name, kind, attributes, status, startTime, endTime } = createRecord(request, info, end)
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

  it('of a failure has its code and its message, and no time of a token that never came', () => {
    const { attributes, status } = createRecord(request, info, failed)
    expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'The GPU was lost.' })
    expect(attributes).toMatchObject({
      'error.type': 'device-lost',
      'gen_ai.response.finish_reasons': ['error'],
    })
    expect(attributes).not.toHaveProperty(['gen_ai.response.time_to_first_chunk'])
  })

  it.each([end, failed])('holds nothing of the texts, nor of the rest of an address', (how) => {
    const record = JSON.stringify(createRecord(request, info, how))
    expect(record).not.toMatch(/secret|private|visitor|key|token=/)
  })

  it('of raw text is a completion', () => {
    const raw = { ...request, prompt: 'Once upon' }
    expect(createRecord({ ...raw, applyChatTemplate: false }, info, end).name).toBe('text_completion stories')
    expect(createRecord(raw, { ...info, hasChatTemplate: false }, end).name).toBe('text_completion stories')
    expect(createRecord(raw, info, end).name).toBe('chat stories')
  })

  it.each([
    ['llm.example:8000', { 'server.address': 'llm.example', 'server.port': 8000 }],
    ['llm.example', { 'server.address': 'llm.example' }],
    ['[::1]:8000', { 'server.address': '[::1]', 'server.port': 8000 }],
  ])('of a server at %s is a client’s and has its address', (deviceDescription, address) => {
    const server: ModelInfo = { ...info, model: 'org/Model-8B', device: 'server', deviceDescription }
    const { name, kind, attributes } = createRecord(request, server, end)
    expect({ name, kind }).toEqual({ name: 'chat org/Model-8B', kind: SpanKind.CLIENT })
    expect(attributes).toMatchObject(address)
    expect('server.port' in attributes).toBe('server.port' in address)
  })

  it('becomes a span of OpenTelemetry’s in the three lines of its docstring', () => {
    const exporter = new InMemorySpanExporter()
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    const record = createRecord(request, info, failed)
    const span = provider.getTracer('test').startSpan(record.name, record)
    span.setStatus(record.status)
    span.end(record.endTime)
    const [seen] = exporter.getFinishedSpans()
    expect(seen).toMatchObject({
      name: record.name,
      kind: record.kind,
      attributes: record.attributes,
      status: record.status,
    })
    const [seconds, nanoseconds] = seen!.duration
    expect(seconds * 1000 + nanoseconds / 1e6).toBeCloseTo(900, 0)
  })
})
