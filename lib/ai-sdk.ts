import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from '@ai-sdk/provider'
import { readOptions } from './ai-sdk/read-options.js'
import { readPrompt } from './ai-sdk/read-prompt.js'
import { createPartWriter, writeContent } from './ai-sdk/write-parts.js'
import type { FinishReason } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Usage } from './generation-tally.js'
import type { TokenStream } from './token-stream.js'

/**
 * Returns an engine as a language model of the AI SDK (specification v4, `ai` 7), for `streamText`, `generateText` and the
 * functions built on them: with tools, objects (`Output.object`, `generateObject`) and reasoning, where the engine's model has
 * them. What it does not have is refused before any work; a `reasoning` setting that it cannot keep is the SDK's warning.
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

function start(engine: Engine, call: LanguageModelV4CallOptions) {
  const { supports } = engine.info
  const { options, warnings } = readOptions(call, supports)
  const prompt = readPrompt(call.prompt, supports.roles.includes('tool'))
  return { stream: engine.generate(prompt, options), warnings }
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
