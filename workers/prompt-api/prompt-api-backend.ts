import type {
  BrowserModelAnswer,
  BrowserModelLoad,
  BrowserModelOptions,
  BrowserModelRequest,
} from '../../lib/contract/browser-model.js'
import { refuse } from '../../lib/contract/check-options.js'
import { RivuletError } from '../../lib/contract/errors.js'
import { listOptions } from '../../lib/contract/option-table.js'
import { textRoles, type GenerateRequest, type RequestFormat } from '../../lib/contract/request.js'
import { readAheadChunks, receiveStream } from '../../lib/contract/stream-transfer.js'
import type { AnswerEnd, GenerationStep, WorkerModelInfo } from '../../lib/contract/worker-api.js'
import type { Backend, GenerateContext } from '../backend.js'
import { countGenerated, isComplete, joinAnswer } from '../openai-body.js'
import { plainFamily } from '../text/channels/answer-family.js'
import { createAnswerReader } from '../text/channels/answer-reader.js'
import { createAnswerSplitter } from '../text/channels/create-answer-splitter.js'

/** A request without its port. */
type Question = BrowserModelRequest extends infer Request
  ? Request extends BrowserModelRequest
    ? Omit<Request, 'port'>
    : never
  : never

/**
 * Runs the browser's own model. Its class exists only in pages, so the page runs it and streams its answers to this worker.
 * @param paging resolves with the port to the page
 */
export function createPromptApiBackend(paging: Promise<MessagePort>): Backend<BrowserModelOptions> {
  /** Asks the page. @returns the reader of its answer, which is cancelled when the signal aborts */
  async function ask<Answer>(
    question: Question,
    signal: AbortSignal,
  ): Promise<ReadableStreamDefaultReader<Answer>> {
    const page = await paging
    const { port1, port2 } = new MessageChannel()
    page.postMessage({ ...question, port: port2 }, [port2])
    const reader = receiveStream<Answer>(port1, readAheadChunks).getReader()
    const cancel = () => void reader.cancel(signal.reason).catch(() => {})
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel)
    return reader
  }

  return {
    stepsInFlight: 0,

    async load({ options }, { onProgress, signal }) {
      const events = await ask<BrowserModelLoad>({ kind: 'load', options }, signal)
      for (;;) {
        const { done, value } = await events.read()
        signal.throwIfAborted()
        if (done) throw new RivuletError('worker-failed', 'The page stopped loading the model.')
        if (value.kind === 'ready') return describeModel(value.contextWindow)
        onProgress({
          phase: 'download',
          file: undefined,
          files: [],
          loadedBytes: 0,
          totalBytes: 0,
          fraction: value.fraction,
          bytesPerSecond: undefined,
          remainingMs: undefined,
        })
      }
    },

    async *generate(request, context) {
      if (isComplete(request)) return 'length'
      const { messages } = readInput(request)
      const { responseFormat } = request.options
      const prompt = {
        messages,
        assistantPrefix: joinAnswer(request),
        constraint: responseFormat && readConstraint(responseFormat),
      }
      const events = await ask<BrowserModelAnswer>({ kind: 'answer', prompt }, context.signal)
      try {
        return yield* streamAnswer(events, request, context)
      } finally {
        await events.cancel().catch(() => {})
      }
    },

    tokenCounter: {
      needsTurn: false,
      async count(request, signal) {
        const { messages, assistantPrefix } = readInput(request)
        const prefix =
          assistantPrefix === '' ? [] : [{ role: 'assistant', content: assistantPrefix } as const]
        const counts = await ask<number>({ kind: 'count', messages: [...messages, ...prefix] }, signal)
        const { value } = await counts.read()
        signal.throwIfAborted()
        if (value === undefined) throw new RivuletError('generation-failed', 'The page counted no tokens.')
        return value
      },
    },

    unload: () => Promise.resolve(),
  }
}

function describeModel(contextWindow: number): WorkerModelInfo {
  return {
    model: 'LanguageModel',
    backend: 'prompt-api',
    device: 'browser',
    deviceDescription: 'chosen by the browser',
    dtype: undefined,
    execution: 'prompt-api',
    warnings: [],
    contextLength: Number.isFinite(contextWindow) && contextWindow > 0 ? contextWindow : undefined,
    supports: {
      inputs: ['chat'],
      roles: textRoles,
      options: listOptions('prompt-api'),
      formats: ['json-schema', 'regex'],
      reasoning: [],
      continuation: true,
      seededContinuation: false,
      // The browser runs the prompts of a page one after the other.
      concurrency: 1,
      tokenCounting: true,
      prefill: false,
      keptPrefixes: false,
    },
  }
}

function readInput({ input }: GenerateRequest) {
  if (input.kind === 'chat') return input
  return refuse('The browser\'s model takes no raw text. Leave "applyChatTemplate" out.', 'applyChatTemplate')
}

/** @throws RivuletError `invalid-option` for a form that the API does not have */
function readConstraint(format: RequestFormat): object | string {
  if (format.kind === 'json-schema') return format.schema
  if (format.kind === 'regex') return format.pattern
  return refuse(`The browser's model has no form "${format.kind}". Use a JSON schema or a pattern.`)
}

/** Yields the chunks of an answer. The API reports no tokens, so each of its chunks counts as one. */
async function* streamAnswer(
  events: ReadableStreamDefaultReader<BrowserModelAnswer>,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  const startedAt = performance.now()
  const { stop, maxTokens = Infinity } = request.options
  const splitter = createAnswerSplitter({
    family: plainFamily,
    isControl: () => false,
    tools: [],
    startsInThought: false,
  })
  const answer = createAnswerReader(splitter, stop)
  let promptTokens: number | undefined
  let isStarted = false
  let count = countGenerated(request)
  const start = (): GenerationStep => {
    isStarted = true
    const prefillMs = performance.now() - startedAt
    return { kind: 'started', promptTokens, cachedPromptTokens: 0, queueMs, prefillMs }
  }
  for (;;) {
    const { done, value } = await events.read()
    signal.throwIfAborted()
    if (done) break
    if (value.kind === 'started') {
      ;({ promptTokens } = value)
      continue
    }
    if (!isStarted) yield start()
    count += 1
    const { hasStopped, ...step } = answer.push(value.text)
    yield { kind: 'chunk', ...step, tokenIds: [], tokenCount: 1 }
    if (hasStopped) return 'stop'
    if (count >= maxTokens) break
  }
  if (!isStarted) yield start()
  const { hasStopped, ...rest } = answer.flush()
  if (rest.text !== '') yield { kind: 'chunk', ...rest, tokenIds: [], tokenCount: 0 }
  return count >= maxTokens && !hasStopped ? 'length' : 'stop'
}
