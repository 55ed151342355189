import { RivuletError } from '../contract/errors.js'
import { createAnswerValue } from '../answer-value.js'
import {
  checkPrefillRequest,
  checkPromptRequest,
  checkRequest,
  type CheckedRequest,
} from '../check-request.js'
import { createRequest } from '../create-request.js'
import type { RequestMessage } from '../contract/request.js'
import type { AnswerEnd, GenerationEvent, ModelInfo, TokenChunk } from '../contract/worker-api.js'
import type { Engine } from '../engine.js'
import { allSupport } from '../model-support.test-support.js'
import { TokenStream } from '../token-stream.js'

/** The words of a scripted answer, one per task. After them it ends, fails or stays silent for ever. */
export interface Script {
  readonly words: readonly (string | Pick<TokenChunk, 'reasoning' | 'toolCalls'>)[]
  readonly end?: AnswerEnd | 'silence' | RivuletError
}

/** An engine that records the requests it gets. */
export interface ScriptedEngine extends Engine {
  readonly requests: CheckedRequest[]
  /** The prompts whose tokens were counted. */
  readonly counted: CheckedRequest[]
  /** The prompts that were computed ahead. */
  readonly prefilled: (CheckedRequest & { readonly keepPrefix: boolean })[]
}

const info: ModelInfo = {
  model: 'scripted',
  backend: 'scripted',
  device: 'wasm',
  deviceDescription: 'none',
  dtype: 'none',
  host: 'tab',
  execution: 'growing-cache',
  warnings: [],
  contextLength: undefined,
  supports: allSupport,
}

/** How many tokens the chat template adds. Every character of a prompt is one token. */
const templateTokens = 20

/** Real token streams of this library, over a script instead of a worker. */
export function createScriptedEngine(
  answer: (request: CheckedRequest) => Script,
  {
    contextLength,
    tokenCounting = true,
  }: { readonly contextLength?: number; readonly tokenCounting?: boolean } = {},
): ScriptedEngine {
  const disposing = new AbortController()
  const dispose = async () => disposing.abort()
  const engine: ScriptedEngine = {
    info: { ...info, contextLength, supports: { ...allSupport, tokenCounting } },
    skipped: [],
    requests: [],
    counted: [],
    prefilled: [],
    generate(prompt, options) {
      const request = checkRequest(prompt, options)
      engine.requests.push(request)
      if (disposing.signal.aborted) throw new RivuletError('engine-disposed', 'The engine was disposed.')
      const promptTokens = [request.prompt]
        .flat()
        .reduce((sum, part) => sum + countTokens(part), templateTokens)
      const tooLong = new RivuletError('prompt-too-long', 'The prompt leaves no room.')
      const script =
        promptTokens >= (contextLength ?? Infinity) ? { words: [], end: tooLong } : answer(request)
      const worker = {
        info: engine.info,
        generate: async () => streamScript(script, promptTokens),
        closed: new AbortController().signal,
        terminate() {},
        switchBackend: () => false,
      }
      const { signal: disposed } = disposing
      return new TokenStream({
        takeWorker: async () => worker,
        createRequest: () => createRequest(request, engine.info),
        canRecover: false,
        answerValue: createAnswerValue(
          request.options.responseFormat,
          options?.responseFormat,
          request.assistantPrefix,
        ),
        signal: options?.signal,
        disposed,
      })
    },
    async countTokens(prompt, options) {
      options?.signal?.throwIfAborted()
      const request = checkPromptRequest('countTokens()', prompt, options)
      engine.counted.push(request)
      const parts = [request.prompt, request.assistantPrefix ?? ''].flat()
      return parts.reduce((sum, part) => sum + countTokens(part), templateTokens)
    },
    async prefill(prompt, options) {
      options?.signal?.throwIfAborted()
      const { checked, keepPrefix } = checkPrefillRequest(prompt, options)
      engine.prefilled.push({ ...checked, keepPrefix })
      return { isComplete: true }
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  }
  return engine
}

function countTokens(part: string | RequestMessage): number {
  if (typeof part === 'string') return part.length
  const { reasoning_content = '', tool_calls = [] } = part.role === 'assistant' ? part : {}
  const texts = [part.content, reasoning_content, ...tool_calls.map((call) => call.function.arguments)]
  return texts.join('').length
}

const nextTask = () => new Promise<void>((resolve) => setTimeout(resolve))

function streamScript(
  { words, end = 'stop' }: Script,
  promptTokens: number,
): ReadableStream<GenerationEvent> {
  async function* write(): AsyncGenerator<GenerationEvent> {
    yield { kind: 'started', promptTokens, cachedPromptTokens: 0, queueMs: 0, prefillMs: 1 }
    for (const [index, word] of words.entries()) {
      await nextTask()
      const content = typeof word === 'string' ? { text: word } : { text: '', ...word }
      yield { kind: 'chunk', ...content, tokenIds: [index], tokenCount: 1 }
    }
    if (typeof end !== 'string') throw end
    if (end === 'silence') return new Promise(() => {})
    yield { kind: 'ended', finishReason: end }
  }
  const events = write()
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await events.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}
