import type { RequestTool } from './contract/request.js'
import type { FinishReason, ModelInfo, ToolCall } from './contract/worker-api.js'
import type { EngineObserver, GenerationEnd, GenerationStart } from './observer.js'

/**
 * A finished generation in the shape of an OpenTelemetry span: call `tracer.startSpan(record.name, record)`, then
 * `span.setStatus(record.status)` and `span.end(record.endTime)`. The record contains no text of the prompt or the answer.
 */
export interface GenerationRecord {
  /** The operation and the model, such as `chat stories`. */
  readonly name: string
  /** OpenTelemetry's `SpanKind`: 0 (internal) for a model on the user's machine, 2 (client) for a model on a server. */
  readonly kind: 0 | 2
  /** When `generate` was called, in milliseconds since 1970. */
  readonly startTime: number
  readonly endTime: number
  /**
   * Attributes named by OpenTelemetry's conventions for generative AI (in development as of November 2026): `gen_ai.*`,
   * `error.type` with the error's code, `server.*`. The `rivulet.*` names are not in the conventions. Times are in seconds.
   * https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-inference.md
   */
  readonly attributes: Readonly<Record<string, string | number | boolean | string[]>>
  /** OpenTelemetry's `SpanStatusCode`: 2 (error) with the error's message after a failure, otherwise 0 (unset). */
  readonly status: { readonly code: 0 } | { readonly code: 2; readonly message: string }
}

/**
 * Returns an observer that passes each finished generation to `onRecord`, as a record for OpenTelemetry:
 *
 *     createEngine({ observer: recordGenerations((record) => {
 *       const span = tracer.startSpan(record.name, record)
 *       span.setStatus(record.status)
 *       span.end(record.endTime)
 *     }), … })
 */
export function recordGenerations(onRecord: (record: GenerationRecord) => void): EngineObserver {
  const starts = new Map<number, GenerationStart>()
  return {
    onStart: (start) => void starts.set(start.generation, start),
    onEnd(end) {
      const start = starts.get(end.generation)
      starts.delete(end.generation)
      if (start) onRecord(createRecord(start, end))
    },
  }
}

function createRecord(
  { input, options, startedAt }: GenerationStart,
  { info, outcome }: GenerationEnd,
): GenerationRecord {
  const model = nameModel(info.model)
  const operation = input === 'text' ? 'text_completion' : 'chat'
  const isFailed = outcome.kind === 'failed'
  const { usage, latency, recoveries } = isFailed ? outcome.figures : outcome.result
  const startTime = performance.timeOrigin + startedAt
  return {
    name: `${operation} ${model}`,
    kind: info.device === 'server' ? 2 : 0,
    startTime,
    endTime: startTime + latency.totalMs,
    attributes: leaveOutUndefined({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'rivulet',
      'gen_ai.output.type': options.responseFormat?.kind.startsWith('json') ? 'json' : 'text',
      'gen_ai.request.model': model,
      'gen_ai.request.stream': true,
      'gen_ai.request.seed': options.seed,
      'gen_ai.request.max_tokens': options.maxTokens,
      'gen_ai.request.temperature': options.temperature,
      'gen_ai.request.top_k': options.topK,
      'gen_ai.request.top_p': options.topP,
      'gen_ai.request.frequency_penalty': options.frequencyPenalty,
      'gen_ai.request.presence_penalty': options.presencePenalty,
      'gen_ai.request.stop_sequences': options.stop.length > 0 ? [...options.stop] : undefined,
      'gen_ai.response.model': model,
      'gen_ai.response.finish_reasons': [isFailed ? 'error' : nameReason(outcome.result.finishReason)],
      'gen_ai.response.time_to_first_chunk': inSeconds(latency.timeToFirstTokenMs),
      'gen_ai.usage.input_tokens': usage.promptTokens,
      'gen_ai.usage.cache_read.input_tokens': usage.cachedPromptTokens,
      'gen_ai.usage.output_tokens': usage.completionTokens,
      'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens,
      'error.type': isFailed ? outcome.error.code : undefined,
      ...describeServer(info),
      'rivulet.backend': info.backend,
      'rivulet.device': info.device,
      'rivulet.queue': latency.queueMs / 1000,
      'rivulet.inter_token_latency.p50': inSeconds(latency.interTokenLatencyMs?.p50),
      'rivulet.inter_token_latency.p99': inSeconds(latency.interTokenLatencyMs?.p99),
      'rivulet.recoveries': recoveries,
      'rivulet.tools': options.tools?.map(({ name }) => name),
      'rivulet.tool_calls': isFailed ? undefined : listCalls(options.tools, outcome.result.toolCalls),
    }),
    status: isFailed ? { code: 2, message: outcome.error.message } : { code: 0 },
  }
}

/** Returns a finish reason by the name of the conventions. */
function nameReason(reason: FinishReason): string {
  if (reason === 'tool-calls') return 'tool_call'
  return reason === 'content-filter' ? 'content_filter' : reason
}

/** Returns the names of the called tools. A name that the request does not have could be a text of the answer. */
function listCalls(tools: readonly RequestTool[] = [], calls: readonly ToolCall[]): string[] | undefined {
  if (tools.length === 0) return undefined
  return calls.map(({ name }) => (tools.some((tool) => tool.name === name) ? name : 'unknown'))
}

/** Returns the folder's or file's name: the rest of a URL can identify the user, and span names should have few values. */
function nameModel(model: string): string {
  if (!URL.canParse(model)) return model
  return new URL(model).pathname.split('/').findLast((part) => part !== '') ?? model
}

/** Returns the server's address, and its port if it is not the scheme's default port. */
function describeServer({ device, deviceDescription: host }: ModelInfo) {
  if (device !== 'server') return undefined
  // With `https:` or `http:`, `URL` would drop a port that is the default of that scheme.
  const { hostname, port } = new URL(`server://${host}`)
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
