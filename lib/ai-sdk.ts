import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from '@ai-sdk/provider'
import { readPrompt } from './ai-sdk/read-prompt.js'
import { createPartWriter, writeContent } from './ai-sdk/write-parts.js'
import { refuse } from './contract/check-options.js'
import type { GenerateOptions } from './contract/request.js'
import type { FinishReason } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation-tally.js'
import type { TokenStream } from './token-stream.js'

/**
 * Returns an engine as a language model of the AI SDK (specification v4, `ai` 7), for `streamText`, `generateText` and the
 * functions built on them. Tools and JSON formats are refused before any work, because the SDK would wait for them in vain;
 * the `reasoning` setting is reported as the SDK's warning. Reasoning and tool parts of earlier answers may be in the prompt.
 * Options that only this library has are set with
 * `providerOptions: { rivulet: { minP, repetitionPenalty, logitBias, templateVariables } }`; an unknown name in `rivulet` is refused.
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
      await stream.text()
      const result = await stream.result
      return {
        content: writeContent(result),
        finishReason: toFinishReason(result.finishReason),
        usage: toUsage(result.usage),
        warnings,
      }
    },
    async doStream(options) {
      const { stream, warnings } = start(engine, options)
      return { stream: toParts(stream, warnings, options.abortSignal) }
    },
  }
}

function start(engine: Engine, options: LanguageModelV4CallOptions) {
  refuseUnsupported(options)
  const stream = engine.generate(readPrompt(options.prompt), readOptions(options))
  return { stream, warnings: listWarnings(options) }
}

/** @throws RivuletError `invalid-option` for what the SDK would wait for in vain */
function refuseUnsupported({
  tools = [],
  toolChoice,
  responseFormat = { type: 'text' },
}: LanguageModelV4CallOptions): void {
  if (tools.length > 0 && toolChoice?.type !== 'none') {
    refuse(
      '"tools" is not supported by the model in this page. Leave it out, or set "toolChoice" to "none".',
      'tools',
    )
  }
  if (responseFormat.type !== 'text') {
    const advice = 'Ask for text instead of an object.'
    refuse(
      `"responseFormat" must be text: the model in this page cannot be held to JSON. ${advice}`,
      'responseFormat',
    )
  }
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

function listWarnings({ reasoning = 'provider-default' }: LanguageModelV4CallOptions): SharedV4Warning[] {
  const isAsked = reasoning !== 'provider-default' && reasoning !== 'none'
  return isAsked ? [{ type: 'unsupported', feature: 'reasoning' }] : []
}

function toParts(
  stream: TokenStream,
  warnings: SharedV4Warning[],
  signal: AbortSignal | undefined,
): ReadableStream<LanguageModelV4StreamPart> {
  const reader = stream.getReader()
  const writer = createPartWriter()
  return new ReadableStream(
    {
      start(controller) {
        controller.enqueue({ type: 'stream-start', warnings })
      },
      async pull(controller) {
        const send = (parts: readonly LanguageModelV4StreamPart[]) => {
          for (const part of parts) controller.enqueue(part)
        }
        try {
          for (let next = await reader.read(); !next.done; next = await reader.read()) {
            const parts = writer.write(next.value)
            if (parts.length > 0) return send(parts)
          }
          const { finishReason, usage, toolCalls } = await stream.result
          send(writer.end(toolCalls))
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
      cancel: (reason) => reader.cancel(reason),
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
    outputTokens: {
      total: completionTokens,
      text: completionTokens === undefined ? undefined : completionTokens - (usage?.reasoningTokens ?? 0),
      reasoning: usage?.reasoningTokens,
    },
  }
}
