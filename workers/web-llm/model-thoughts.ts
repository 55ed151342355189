import type { ModelSupport } from '../../lib/contract/worker-api.js'
import { plainFamily, type AnswerFamily } from '../text/channels/answer-family.js'
import { findFamily } from '../text/channels/find-family.js'
import { endsInThought, listReasoning } from '../text/channels/reasoning-control.js'
import type { ConversationTemplate, MlcTokenizer } from './runtime.js'

/** The empty thought that web-llm 0.2.86 writes before an answer with `enable_thinking: false`, whatever the model. */
const emptyThought = '<think>\n\n</think>\n\n'

/** How a model writes its thoughts, and how they are turned off. */
export interface ModelThoughts {
  readonly family: AnswerFamily
  /** True if the model's template opens a thought before each answer. */
  readonly isOpen: boolean
  /** How many tokens web-llm's empty thought has, which it counts as generated; undefined if it does not turn the thoughts off. */
  readonly emptyTokens: number | undefined
}

/** The thoughts of raw text, which has none. */
export const noThoughts: ModelThoughts = { family: plainFamily, isOpen: false, emptyTokens: undefined }

/**
 * Finds the marks of a model's thoughts in its vocabulary and its conversation template: MLC's models have no Jinja template.
 * @param literals the texts of the conversation template
 */
export function readThoughts(
  { roles, role_empty_sep = ': ' }: ConversationTemplate,
  literals: readonly string[],
  tokenizer: MlcTokenizer,
): ModelThoughts {
  const hasToken = (text: string) => {
    // A tokenizer of SentencePiece can put a space before the token.
    const id = Array.from(tokenizer.encode(text)).at(-1)
    return id !== undefined && tokenizer.idToToken(id) === text
  }
  const family = findFamily({ template: literals.join('\n'), hasToken, hasTools: false })
  const header = (roles.assistant ?? '') + role_empty_sep
  const isOpen = endsInThought(family, [{ text: header, isContent: false }])
  const canTurnOff = family.kind === 'marked' && family.thought?.open === '<think>' && !isOpen
  return { family, isOpen, emptyTokens: canTurnOff ? tokenizer.encode(emptyThought).length : undefined }
}

/** Returns what `reasoning` can demand. web-llm can neither start a thought nor end one. */
export function listThoughtDemands({ family, emptyTokens }: ModelThoughts): ModelSupport['reasoning'] {
  const isThinking = family.kind === 'harmony' || family.thought !== undefined
  return isThinking && emptyTokens === undefined
    ? []
    : listReasoning(family).filter((demand) => demand === 'off')
}
