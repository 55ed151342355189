import type { RivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/options.js'
import type { FinishReason, ModelInfo } from './contract/worker-api.js'
import type { Usage } from './generation.js'
import type { Latency } from './latency.js'

/**
 * A generation that is over, as OpenTelemetry has spans: `tracer.startSpan(record.name, record)`, then
 * `span.setStatus(record.status)` and `span.end(record.endTime)`. Without a word of the prompt or the answer.
 */
export interface GenerationRecord {
  /** `chat stories`: the operation and the model. */
  readonly name: string
  /** OpenTelemetry's `SpanKind`: 0 (internal) on the visitor's machine, 2 (client) on a server. */
  readonly kind: 0 | 2
  /** Of the call of `generate`, in milliseconds since 1970. */
  readonly startTime: number
  readonly endTime: number
  /**
   * By OpenTelemetry's conventions for generative AI, in development as of November 2026: `gen_ai.*`, `error.type` with
   * the error's code, `server.*`. `rivulet.*` is what these have no name for; times of both are in seconds.
   * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-inference.md
   */
  readonly attributes: Readonly<Record<string, string | number | boolean | string[]>>
  /** OpenTelemetry's `SpanStatusCode`: 0 (unset), also for what was cancelled, or 2 (error) with the error's message. */
  readonly status: { readonly code: 0 } | { readonly code: 2; readonly message: string }
}

/** How a generation ended, for its record. */
export interface GenerationEnd {
  readonly outcome:
    | { readonly kind: 'finished'; readonly finishReason: FinishReason }
    | { readonly kind: 'failed'; readonly error: RivuletError }
  readonly usage: Usage
  readonly latency: Latency
  readonly recoveries: number
}

/** @returns what tells `onGeneration` of a generation that is over */
export function recordGenerations(onGeneration: (record: GenerationRecord) => void) {
  return (...generation: Parameters<typeof createRecord>): void => {
    const record = createRecord(...generation)
    // In a turn of its own: what it throws is the page's error, and none of the stream's.
    queueMicrotask(() => onGeneration(record))
  }
}

/** @param info of the model that ended it */
export function createRecord(
  request: GenerateRequest,
  info: ModelInfo,
  { outcome, usage, latency, recoveries }: GenerationEnd,
): GenerationRecord {
  const model = nameModel(info.model)
  const isRawText = request.applyChatTemplate === false || !info.hasChatTemplate
  const operation = isRawText && typeof request.prompt === 'string' ? 'text_completion' : 'chat'
  const isFailed = outcome.kind === 'failed'
  const endTime = performance.timeOrigin + performance.now()
  return {
    name: `${operation} ${model}`,
    kind: info.device === 'server' ? 2 : 0,
    startTime: endTime - latency.totalMs,
    endTime,
    attributes: leaveOutUndefined({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'rivulet',
      'gen_ai.output.type': 'text',
      'gen_ai.request.model': model,
      'gen_ai.request.stream': true,
      'gen_ai.request.seed': request.seed,
      'gen_ai.request.max_tokens': request.maxTokens,
      'gen_ai.request.temperature': request.temperature,
      'gen_ai.request.top_k': request.topK,
      'gen_ai.request.top_p': request.topP,
      'gen_ai.request.frequency_penalty': request.frequencyPenalty,
      'gen_ai.request.presence_penalty': request.presencePenalty,
      'gen_ai.request.stop_sequences': request.stop.length > 0 ? [...request.stop] : undefined,
      'gen_ai.response.model': model,
      'gen_ai.response.finish_reasons': [isFailed ? 'error' : outcome.finishReason],
      'gen_ai.response.time_to_first_chunk': inSeconds(latency.timeToFirstTokenMs),
      'gen_ai.usage.input_tokens': usage.promptTokens,
      'gen_ai.usage.cache_read.input_tokens': usage.cachedPromptTokens,
      'gen_ai.usage.output_tokens': usage.completionTokens,
      'error.type': isFailed ? outcome.error.code : undefined,
      ...describeServer(info),
      'rivulet.backend': info.backend,
      'rivulet.device': info.device,
      'rivulet.queue': latency.queueMs / 1000,
      'rivulet.inter_token_latency.p50': inSeconds(latency.interTokenLatencyMs?.p50),
      'rivulet.inter_token_latency.p99': inSeconds(latency.interTokenLatencyMs?.p99),
      'rivulet.recoveries': recoveries,
    }),
    status: isFailed ? { code: 2, message: outcome.error.message } : { code: 0 },
  }
}

/** A folder's or file's own name: of an address all the rest can be the visitor's, and a span's name takes few values. */
function nameModel(model: string): string {
  if (!URL.canParse(model)) return model
  return new URL(model).pathname.split('/').findLast((part) => part !== '') ?? model
}

/** With the port where it is not that of `https:` or `http:`, which the host's name does not tell apart. */
function describeServer({ device, deviceDescription: host }: ModelInfo) {
  if (device !== 'server') return undefined
  const { hostname, port } = new URL(`https://${host}`)
  return { 'server.address': hostname, 'server.port': port === '' ? undefined : Number(port) }
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}

function leaveOutUndefined<Value>(
  values: Record<string, Value | undefined>,
): Record<string, Exclude<Value, undefined>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<
    string,
    Exclude<Value, undefined>
  >
}
