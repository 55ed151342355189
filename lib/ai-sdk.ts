import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4Prompt,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from '@ai-sdk/provider'
import { RivuletError } from './contract/errors.js'
import type { ChatMessage, GenerateOptions } from './contract/request.js'
import type { FinishReason } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation-tally.js'
import type { TokenStream } from './token-stream.js'

/**
 * Returns an engine as a language model of the AI SDK (specification v4, `ai` 7), for `streamText`, `generateText` and the
 * functions built on them. Settings that the engine does not support (tools, JSON formats, reasoning) are reported as the
 * SDK's warnings. Options that only this library has are set with
 * `providerOptions: { rivulet: { minP, repetitionPenalty, logitBias, templateVariables } }`; an unknown name in `rivulet`
 * is refused.
 *
 *     const { textStream } = streamText({ model: languageModel(engine), prompt: 'Tell me a story.' })
 */
export function languageModel(engine: Engine): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'rivulet',
    get modelId() {
      return engine.info.model
    },
    supportedUrls: {},
    async doGenerate(options) {
      const { stream, warnings } = start(engine, options)
      const text = await stream.text()
      const { finishReason, usage } = await stream.result
      return {
        content: [{ type: 'text', text }],
        finishReason: toFinishReason(finishReason),
        usage: toUsage(usage),
        warnings,
      }
    },
    doStream(options) {
      const { stream, warnings } = start(engine, options)
      return Promise.resolve({ stream: toParts(stream, warnings, options.abortSignal) })
    },
  }
}

function start(engine: Engine, options: LanguageModelV4CallOptions) {
  const stream = engine.generate(toMessages(options.prompt), readOptions(options))
  return { stream, warnings: listUnsupported(options) }
}

/** Converts the SDK's options to options of `engine.generate`. For an undefined option, the model's default applies. */
function readOptions(options: LanguageModelV4CallOptions): GenerateOptions {
  return {
    maxTokens: options.maxOutputTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    frequencyPenalty: options.frequencyPenalty,
    presencePenalty: options.presencePenalty,
    seed: options.seed,
    stop: options.stopSequences,
    signal: options.abortSignal,
    // `engine.generate` checks these names and values.
    ...(options.providerOptions?.rivulet as GenerateOptions | undefined),
  }
}

function listUnsupported({
  tools = [],
  toolChoice,
  responseFormat = { type: 'text' },
  reasoning = 'provider-default',
}: LanguageModelV4CallOptions): SharedV4Warning[] {
  const unsupported = {
    tools: tools.length > 0,
    toolChoice: toolChoice !== undefined && tools.length > 0,
    responseFormat: responseFormat.type !== 'text',
    reasoning: reasoning !== 'provider-default' && reasoning !== 'none',
  }
  return Object.entries(unsupported)
    .filter(([, isAsked]) => isAsked)
    .map(([feature]) => ({ type: 'unsupported', feature }))
}

/**
 * Converts the SDK's prompt to messages.
 * @throws RivuletError `invalid-option` if a message contains anything but text
 */
function toMessages(prompt: LanguageModelV4Prompt): ChatMessage[] {
  return prompt.map(({ role, content }, index) => {
    if (role === 'system') return { role, content }
    if (role === 'tool') refuse(index, 'tool results')
    const texts = content.map((part) => (part.type === 'text' ? part.text : refuse(index, part.type)))
    return { role, content: texts.join('') }
  })
}

function refuse(index: number, what: string): never {
  throw new RivuletError(
    'invalid-option',
    `messages[${index}] contains ${what}. The model in this page reads only text.`,
    { details: { option: `messages[${index}]` } },
  )
}

/** The id of the text part. The whole answer is one part. */
const textId = '0'

/** Converts a token stream to a stream of the SDK's parts, with backpressure. */
function toParts(
  stream: TokenStream,
  warnings: SharedV4Warning[],
  signal: AbortSignal | undefined,
): ReadableStream<LanguageModelV4StreamPart> {
  const reader = stream.getReader()
  return new ReadableStream(
    {
      start(controller) {
        controller.enqueue({ type: 'stream-start', warnings })
        controller.enqueue({ type: 'text-start', id: textId })
      },
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue({ type: 'text-delta', id: textId, delta: value.text })
          const { finishReason, usage } = await stream.result
          controller.enqueue({ type: 'text-end', id: textId })
          controller.enqueue({
            type: 'finish',
            finishReason: toFinishReason(finishReason),
            usage: toUsage(usage),
          })
        } catch (error) {
          if (signal?.aborted) return controller.error(signal.reason)
          controller.enqueue({ type: 'error', error })
          controller.enqueue({ type: 'finish', finishReason: failed, usage: toUsage(undefined) })
        }
        controller.close()
      },
      cancel: () => stream.cancel(),
    },
    { highWaterMark: 1 },
  )
}

const failed: LanguageModelV4FinishReason = { unified: 'error', raw: undefined }

function toFinishReason(raw: FinishReason): LanguageModelV4FinishReason {
  return { unified: raw === 'cancelled' ? 'interrupted' : raw, raw }
}

function toUsage(usage: Usage | undefined): LanguageModelV4Usage {
  const { promptTokens, cachedPromptTokens = 0, completionTokens } = usage ?? {}
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens === undefined ? undefined : promptTokens - cachedPromptTokens,
      cacheRead: usage?.cachedPromptTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens, reasoning: undefined },
  }
}
