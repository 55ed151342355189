import type { GeneratedAnswer, Reasoning } from '../../lib/contract/request.js'
import { joinSteps, type AnswerReader, type AnswerStep } from '../text/channels/answer-reader.js'
import { createDetokenizer } from '../text/detokenizer.js'
import type { Tokenizer } from '../text/tokenizer.js'

/** Reads the tokens of an answer into the fields of its chunks. */
export interface TokenReader {
  push(id: number): AnswerStep
  /** Ends the answer. Returns what is held back. */
  flush(): AnswerStep
  /** True if the reasoning has used all its tokens, and goes on. */
  readonly isReasoningUsedUp: boolean
  /** How many tokens the model chooses at least before the reasoning has used all its tokens. At least 1. */
  readonly tokensBeforeForced: number
  readonly hasCalls: boolean
}

/** @param usedTokens the tokens of reasoning that other models have used */
export function createTokenReader(
  tokenizer: Tokenizer,
  promptIds: readonly number[],
  answer: AnswerReader,
  reasoning: Reasoning | undefined,
  usedTokens: number,
): TokenReader {
  const detokenizer = createDetokenizer(tokenizer, promptIds)
  const budget = typeof reasoning === 'object' ? reasoning.maxTokens : Infinity
  let used = usedTokens

  function readToken(id: number): AnswerStep {
    const step = answer.push(detokenizer.push(id))
    const control = tokenizer.readControlText(id)
    return step.hasStopped || control === undefined ? step : joinSteps(step, answer.pushControl(control))
  }

  return {
    push(id) {
      const wasReasoning = answer.isReasoning
      const step = readToken(id)
      if (!wasReasoning && step.reasoning === undefined) return step
      used += 1
      return { reasoning: '', ...step }
    },
    flush() {
      const step = answer.push(detokenizer.flush())
      return step.hasStopped ? step : joinSteps(step, answer.flush())
    },
    get isReasoningUsedUp() {
      return answer.isReasoning && used >= budget
    },
    get tokensBeforeForced() {
      const rest = Math.max(1, budget - used)
      // After the tokens are used up, the model rarely reasons again.
      return answer.isReasoning || used < budget ? rest : Infinity
    },
    get hasCalls() {
      return answer.hasCalls
    },
  }
}

const emptyStep: AnswerStep = { text: '', hasStopped: false }

/** Restores the state of an answer after `tokenIds`. @returns what the tokens add to the answer, which the reader already has */
export function replay(tokenIds: readonly number[], tokens: TokenReader): AnswerStep {
  let all = emptyStep
  for (const id of tokenIds) all = joinSteps(all, tokens.push(id))
  return all
}

/**
 * Returns the end of an answer that the reader does not have. A worker that was lost at the end of an answer can have sent
 * what was held back until then.
 */
export function dropStreamed(end: AnswerStep, replayed: AnswerStep, streamed: GeneratedAnswer): AnswerStep {
  const { text, reasoning = '', toolCalls = [], raw = text } = end
  const before = measure(replayed)
  const arrived = measure(streamed)
  const restText = text.slice(arrived.text - before.text)
  const restReasoning = reasoning.slice(arrived.reasoning - before.reasoning)
  const restRaw = raw.slice(arrived.raw - before.raw)
  let drop = arrived.arguments - before.arguments
  const calls = toolCalls.flatMap((delta) => {
    const argumentsDelta = delta.argumentsDelta.slice(drop)
    drop = Math.max(0, drop - delta.argumentsDelta.length)
    return argumentsDelta === '' ? [] : [{ ...delta, argumentsDelta }]
  })
  return {
    text: restText,
    ...(restReasoning !== '' && { reasoning: restReasoning }),
    ...(calls.length > 0 && { toolCalls: calls }),
    ...(restRaw !== restText && { raw: restRaw }),
    hasStopped: end.hasStopped,
  }
}

/** True if a step adds something to the answer. */
export function hasContent({ text, reasoning, toolCalls, raw }: Omit<AnswerStep, 'hasStopped'>): boolean {
  return text !== '' || reasoning !== undefined || toolCalls !== undefined || (raw ?? '') !== ''
}

function measure({
  text,
  reasoning = '',
  toolCalls = [],
  raw = text,
}: AnswerStep | Omit<GeneratedAnswer, 'tokens'>) {
  const calls = toolCalls.map((call) => ('argumentsDelta' in call ? call.argumentsDelta : call.arguments))
  return {
    text: text.length,
    reasoning: reasoning.length,
    raw: raw.length,
    arguments: calls.reduce((sum, each) => sum + each.length, 0),
  }
}
