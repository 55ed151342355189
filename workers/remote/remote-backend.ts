import { RivuletError, describeError } from '../../lib/contract/errors.js'
import { listOptions } from '../../lib/contract/option-table.js'
import { roles, type GenerateRequest } from '../../lib/contract/request.js'
import type { RemoteLoadOptions } from '../../lib/contract/remote-options.js'
import type { CountedTokens, GenerationStep, ModelSupport } from '../../lib/contract/worker-api.js'
import type { Backend, GenerateContext } from '../backend.js'
import { isComplete, joinAnswer, toOpenAiBody } from '../openai-body.js'
import { createSseTransport, readMessage, type Transport } from './transport.js'

/**
 * The fields of a chunk that this backend uses (OpenAI, "The chat completion chunk object"). vLLM sends the same fields,
 * and can send errors between the chunks.
 */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null }
    /** The text of a completion without a chat template. */
    readonly text?: string
    readonly finish_reason?: string | null
  }[]
  readonly usage?: {
    readonly prompt_tokens?: number
    readonly completion_tokens?: number
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null
  } | null
  /** The durations that llama.cpp's and dasLLAMA's servers report, each under its own names. OpenAI's API has none. */
  readonly timings?: {
    readonly prompt_ms?: number
    readonly predicted_ms?: number
    readonly ttft_ms?: number
    readonly gen_ms?: number
  } | null
  readonly error?: unknown
}

/** The last event of a complete answer. */
const terminator = '[DONE]'

/** What every server supports: OpenAI's fields. The app must say whether its server can continue an answer. */
const support = {
  inputs: ['chat', 'text'],
  roles,
  options: listOptions('remote'),
  seededContinuation: false,
  // The server has its own queue.
  concurrency: 8,
} as const satisfies Omit<ModelSupport, 'continuation'>

/** Runs models on any server with OpenAI's API, over server-sent events. */
export function createRemoteBackend(): Backend<RemoteLoadOptions> {
  let server: { readonly transport: Transport; readonly model: string } | undefined
  return {
    stepsInFlight: 0,

    async load({ options: { model, canContinue, ...access } }, { signal }) {
      const transport = createSseTransport(access)
      const contextLength = findModel(await transport.get('models', signal), model)
      server = { transport, model }
      return {
        model,
        backend: 'remote',
        device: 'server',
        deviceDescription: new URL(access.baseUrl).host,
        dtype: undefined,
        execution: 'sse',
        warnings: [],
        contextLength,
        supports: { ...support, continuation: canContinue },
      }
    },

    generate(request, context) {
      if (!server)
        throw new RivuletError('engine-disposed', 'The server connection was closed. Create a new engine.')
      return streamAnswer(server.transport, server.model, request, context)
    },

    unload() {
      server = undefined
      return Promise.resolve()
    },
  }
}

/**
 * Finds the model in the server's list.
 * @param listing OpenAI's list of models; vLLM adds each model's context length
 * @returns the model's context length, if the server reports it
 * @throws RivuletError `model-not-found`, with names of the server's models in the message
 */
function findModel(listing: unknown, model: string): number | undefined {
  const models = (listing as { data?: unknown } | undefined)?.data
  if (!Array.isArray(models)) return undefined
  const known = models as { readonly id?: unknown; readonly max_model_len?: unknown }[]
  const found = known.find(({ id }) => id === model)
  if (!found) {
    const names = known.slice(0, maxNamedModels).map(({ id }) => String(id))
    throw new RivuletError(
      'model-not-found',
      `The server has no model "${model}". Use one of these: ${names.join(', ')}.`,
    )
  }
  return typeof found.max_model_len === 'number' ? found.max_model_len : undefined
}

const maxNamedModels = 10

async function* streamAnswer(
  transport: Transport,
  model: string,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, 'stop' | 'length', undefined> {
  if (isComplete(request)) return 'length'
  const { path, body } = describeRequest(model, request)
  const startedAt = performance.now()
  let counted: CountedTokens | undefined
  let finishReason: 'stop' | 'length' | undefined
  let hasStarted = false
  for await (const data of transport.stream(path, body, signal)) {
    if (data === terminator) {
      if (counted) yield { kind: 'counted', ...counted }
      return finishReason ?? 'stop'
    }
    const { choices: [choice] = [], usage, timings, error } = parseChunk(data)
    if (error !== undefined && error !== null) {
      const message = transport.redact(readMessage(JSON.stringify({ error })))
      throw new RivuletError('generation-failed', `The server failed during generation: ${message}`)
    }
    if (usage) counted = readUsage(usage, timings ?? {})
    if (!hasStarted) {
      const prefillMs = performance.now() - startedAt
      yield { kind: 'started', promptTokens: undefined, cachedPromptTokens: 0, queueMs, prefillMs }
    }
    hasStarted = true
    const text = choice?.delta?.content ?? choice?.text ?? ''
    if (text !== '') yield { kind: 'chunk', text, tokenIds: [], tokenCount: 1 }
    if (choice?.finish_reason) finishReason = choice.finish_reason === 'length' ? 'length' : 'stop'
  }
  throw new RivuletError(
    'connection-failed',
    'The answer is incomplete: the server closed the stream before "[DONE]". Retry.',
  )
}

function describeRequest(
  model: string,
  request: GenerateRequest,
): { readonly path: string; readonly body: object } {
  const { input } = request
  const answer = joinAnswer(request)
  const body = { model, stream: true, stream_options: { include_usage: true }, ...toOpenAiBody(request) }
  if (input.kind === 'text') return { path: 'completions', body: { ...body, prompt: input.text + answer } }
  const { messages } = input
  if (answer === '') return { path: 'chat/completions', body: { ...body, messages } }
  // These are vLLM's field names (ChatCompletionRequest). llama.cpp's server always continues an assistant's last message.
  const continuation = { add_generation_prompt: false, continue_final_message: true }
  const withAnswer = [...messages, { role: 'assistant', content: answer }]
  return { path: 'chat/completions', body: { ...body, ...continuation, messages: withAnswer } }
}

function parseChunk(data: string): Chunk {
  try {
    const chunk: unknown = JSON.parse(data)
    if (typeof chunk === 'object' && chunk !== null) return chunk as Chunk
    throw new Error('not an object')
  } catch (error) {
    throw new RivuletError(
      'connection-failed',
      `The server sent an invalid chunk (${describeError(error)}). Check that "baseURL" points at an OpenAI-compatible endpoint.`,
      {
        cause: error,
      },
    )
  }
}

function readUsage(
  usage: NonNullable<Chunk['usage']>,
  { prompt_ms, predicted_ms, ttft_ms = prompt_ms, gen_ms = predicted_ms }: NonNullable<Chunk['timings']>,
): CountedTokens {
  return {
    promptTokens: usage.prompt_tokens ?? 0,
    cachedPromptTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    completionTokens: usage.completion_tokens ?? 0,
    timings:
      ttft_ms === undefined || gen_ms === undefined ? undefined : { prefillMs: ttft_ms, decodeMs: gen_ms },
  }
}
