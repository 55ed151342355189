import { refuse } from '../../lib/contract/check-options.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { GenerateContext } from '../backend.js'
import { countGenerated } from '../openai-body.js'
import { describeAnswer, type AnswerGrammar } from '../text/answer-grammar.js'
import type { AnswerFamily } from '../text/channels/answer-family.js'
import { createAnswerReader } from '../text/channels/answer-reader.js'
import { endsInThought } from '../text/channels/reasoning-control.js'
import { startAnswer } from '../text/channels/start-answer.js'
import type { ChatTemplate, PromptPart } from '../text/chat-template.js'
import type { CompileForm } from '../text/gbnf/compile-form.js'
import { renderPrompt } from '../text/prompt.js'
import { createAnswerText, type AnswerText } from './answer-text.js'
import type { ControlTokens } from './control-tokens.js'
import type { ConversationMemory } from './conversation-memory.js'
import type { Timings } from './run-completion.js'
import type { LlamaCpp } from './runtime.js'
import type { WritePrompt } from './write-prompt.js'

/** The parts of a loaded model that a generation needs. */
export interface LoadedModel {
  readonly runtime: LlamaCpp
  readonly chatTemplate: ChatTemplate | undefined
  /** How the model writes reasoning and tool calls. */
  readonly family: AnswerFamily
  readonly controlTokens: ControlTokens
  /** The control token with which tokens are counted; undefined for a model without control tokens. */
  readonly countedToken: string | undefined
  readonly writePrompt: WritePrompt
  readonly memory: ConversationMemory
  readonly compileForm: CompileForm
}

/** An answer while it is generated. */
export interface RunningAnswer {
  readonly request: GenerateRequest
  readonly context: GenerateContext
  readonly startedAt: number
  readonly text: AnswerText
  /** The prompt, and what other models generated. */
  readonly before: readonly PromptPart[]
  readonly grammar: AnswerGrammar | undefined
  /** What the form already has before this model's part: the message to continue, and what other models generated. */
  readonly formStart: string
  /** How many tokens the answer has. */
  tokens: number
  /** The timings of the completions so far: the first, the last, and the sum of the decode times. */
  first: Timings | undefined
  last: Timings | undefined
  decodeMs: number
  /** True if an end-of-sequence token ended the answer: llama.cpp counts it. */
  hasEndToken: boolean
}

/**
 * Prepares an answer, or what is left of it.
 * @throws RivuletError `invalid-option` for a form that llama.cpp cannot hold; `chat-template-failed`; `generation-failed` if
 *   the answer was handed over inside a call that this model cannot continue
 */
export function prepareAnswer(
  model: LoadedModel,
  request: GenerateRequest,
  context: GenerateContext,
): RunningAnswer {
  const { chatTemplate, family, controlTokens, compileForm } = model
  const { options, input, resume } = request
  const isControl = (text: string) => controlTokens.all.includes(text)
  const prompt = renderPrompt(chatTemplate, request, family)
  const start = startAnswer({ family, chatTemplate, isControl }, request, prompt)
  const text = createAnswerText(createAnswerReader(start.splitter, options.stop), {
    family,
    isControl,
    reasoning: options.reasoning,
    generated: resume?.generated ?? { text: '', tokens: 0 },
  })
  const isInThought = endsInThought(family, [...prompt, ...start.prefix])
  const assistantPrefix = input.kind === 'chat' ? input.assistantPrefix : ''
  // A message that is continued has no thought before it.
  const canThink = input.kind === 'chat' && assistantPrefix === '' && options.reasoning !== 'off'
  const grammar = describeAnswer(options, { family, isInThought, canThink })
  // Refuses a form before any work.
  if (grammar && compileForm(grammar.form, grammar.option, assistantPrefix) === undefined) {
    refuse(
      `The message to continue does not fit "${grammar.option}". Correct it, or leave "continueFinalMessage" out.`,
      'continueFinalMessage',
    )
  }
  const formStart = assistantPrefix + start.handedOver.map((part) => part.text).join('')
  const before = [...prompt, ...start.prefix, ...start.handedOver]
  const counts = {
    tokens: countGenerated(request),
    first: undefined,
    last: undefined,
    decodeMs: 0,
    hasEndToken: false,
  }
  return { request, context, startedAt: performance.now(), text, before, grammar, formStart, ...counts }
}
