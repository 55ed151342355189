// A stand-in for llama.cpp, which answers with a script, and the functions that read an answer from it.
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'
import { textRequest } from '../request.test-support.js'
import { plainFamily, type AnswerFamily } from '../text/channels/answer-family.js'
import type { PromptPart } from '../text/chat-template.js'
import { createFormCompiler } from '../text/gbnf/compile-form.js'
import { createConversationMemory } from './conversation-memory.js'
import { generateTokens } from './generate.js'
import type { LoadedModel } from './prepare-answer.js'
import type { CompletionOptions, LlamaCpp } from './runtime.js'

export const words = ['Once', ' upon', ' a', ' time', '.']
const controlTokens = {
  all: ['<|end|>', '<|user|>', '<|call|>'],
  end: ['<|end|>'],
  forbidden: new Map([
    ['<|user|>', 1],
    ['<|call|>', 3],
  ]),
}

/** Stands in for llama.cpp: a step computes a prompt chunk or a word; an end token without text and the counts follow. */
export function createRuntime({ prefillSteps = 2, failAt = Infinity, answer = words } = {}) {
  const seen = { steps: 0, isRunning: false, options: [] as CompletionOptions[] }
  const timings = { cache_n: 3, prompt_n: 4, prompt_ms: 20, predicted_ms: 30 }
  const runtime: LlamaCpp = {
    threads: 1,
    isMultithreaded: false,
    usesGpu: false,
    fileType: undefined,
    contextLength: 512,
    exit: () => Promise.resolve(),
    countTokens: async (prompt, controlToken) => (controlToken === '<|end|>' ? prompt.length : NaN),
    async complete(options, mayStep) {
      seen.options.push(options)
      seen.isRunning = true
      const limit = options.max_tokens as number | undefined
      const texts = answer.slice(0, limit)
      const ends = texts.length === limit ? [] : ['']
      let predicted = 0
      let prefilled = 0
      try {
        for (const text of [...Array.from({ length: prefillSteps }, () => undefined), ...texts, ...ends]) {
          await mayStep()
          await new Promise((resolve) => setTimeout(resolve, 1))
          seen.steps += 1
          if (seen.steps === failAt) throw new Error('the runtime broke')
          if (text === undefined) {
            prefilled += 1
            if (options.return_progress) {
              const processed = 3 + Math.round((4 * prefilled) / prefillSteps)
              const choices = [{ text: '', finish_reason: null }]
              options.onData({ choices, timings, prompt_progress: { total: 7, cache: 3, processed } })
            }
            continue
          }
          predicted += 1
          const choices = [{ text, finish_reason: null }]
          options.onData({ choices, timings: { ...timings, predicted_n: predicted } })
        }
        await mayStep()
        options.onData({
          choices: [{ text: '', finish_reason: ends.length > 0 ? 'stop' : 'length' }],
          usage: {},
          timings: { ...timings, predicted_n: predicted },
        })
      } finally {
        seen.isRunning = false
      }
    },
  }
  return { seen, runtime }
}

export function createModel(
  { runtime }: ReturnType<typeof createRuntime>,
  family: AnswerFamily = plainFamily,
): LoadedModel {
  const memory = createConversationMemory(
    { bytesPerToken: 1, windowBytesPerToken: 0, windowTokens: 0 },
    Infinity,
  )
  return {
    runtime,
    chatTemplate: undefined,
    family,
    controlTokens,
    writePrompt: (parts: readonly PromptPart[]) => parts.map(({ text }) => text).join(''),
    memory,
    compileForm: createFormCompiler(),
    countedToken: '<|end|>',
  }
}

export function generate(
  runtime: ReturnType<typeof createRuntime>,
  request: GenerateRequest = textRequest('Tell me a story.', { seed: 1 }),
  signal = new AbortController().signal,
  family: AnswerFamily = plainFamily,
) {
  return generateTokens(createModel(runtime, family), request, { signal, queueMs: 5 })
}

export async function readAll(steps: AsyncGenerator<GenerationStep, AnswerEnd, undefined>) {
  const all: GenerationStep[] = []
  for (;;) {
    const { done, value } = await steps.next()
    if (done) return { all, finishReason: value }
    all.push(value)
  }
}

/** Writes reasoning in `<think>` and calls in `<tool_call>`. */
export const thinkingFamily: AnswerFamily = {
  kind: 'marked',
  thought: { open: '<think>', close: '</think>' },
  calls: {
    open: '<tool_call>',
    close: '</tool_call>',
    padding: '\n',
    syntax: { kind: 'json', nameKey: 'name', argumentsKey: 'arguments' },
  },
}
