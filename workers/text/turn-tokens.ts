import type { ChatMessage } from '../../lib/contract/request.js'
import type { ChatTemplate, PromptPart } from './chat-template.js'
import { createTokenMatcher, type FindToken } from './token-matcher.js'

/** The tokens that a chat template writes around messages. */
export interface TurnTokens {
  /**
   * The tokens that mark messages. User text must not become one of them, even if the tokenizer does not mark it as
   * special, as DeepSeek's `<｜User｜>`.
   */
  readonly written: readonly string[]
  /** The token that ends an answer, such as `<|im_end|>`; undefined if the template writes none. */
  readonly endOfTurn: string | undefined
}

const noTokens: TurnTokens = { written: [], endOfTurn: undefined }
const question = { role: 'user', content: 'q1' } as const
const answer = { role: 'assistant', content: 'a1' } as const
const followUp: ChatMessage = { role: 'user', content: 'q2' }

/**
 * Finds out which tokens a chat template writes, by rendering a short conversation.
 * @param tokenTexts the texts of the tokenizer's added tokens
 * @returns no tokens if there is no template, or if it fails
 */
export function readTurnTokens(
  template: ChatTemplate | undefined,
  tokenTexts: readonly string[],
): TurnTokens {
  if (template === undefined) return noTokens
  try {
    const parts = template.render([question, answer, followUp])
    const findToken = createTokenMatcher(tokenTexts.map((content) => ({ content })))
    const turns = findTurnTokens(parts, readAnswerStart(template), findToken)
    return { ...turns, written: [...turns.written, ...listMarks(template, tokenTexts)] }
  } catch {
    return noTokens
  }
}

/** Lists the tokens that the template writes only for tools and thoughts, such as Qwen's `<tool_call>`. */
function listMarks({ source }: ChatTemplate, tokenTexts: readonly string[]): readonly string[] {
  return tokenTexts.filter((text) => /^[<[◁].+[>\]▷]$/.test(text) && source.includes(text))
}

/** Returns the text that the model continues with an answer; undefined if the template does not start one. */
function readAnswerStart(template: ChatTemplate): string | undefined {
  const start = joinTexts(template.render([question]))
  return start === joinTexts(template.render([question], { add_generation_prompt: false }))
    ? undefined
    : start
}

function findTurnTokens(
  parts: readonly PromptPart[],
  start: string | undefined,
  findToken: FindToken<{ readonly content: string }>,
): TurnTokens {
  const listTokens = (text: string) => [...findAll(text, findToken)]
  const last = parts.findLastIndex(({ isContent }) => isContent)
  const literals = parts.slice(0, last).filter(({ isContent }) => !isContent)
  // Some vocabularies have tokens for white space. They mark nothing.
  const written = literals.flatMap(({ text }) => listTokens(text)).filter((token) => token.trim() !== '')
  // The part can also contain the question, if the template writes nothing between them.
  const index = parts.findIndex(({ text, isContent }) => isContent && text.endsWith(answer.content))
  const after = parts[index + 1]
  if (index === -1 || !after || after.isContent) return { written, endOfTurn: undefined }
  const text = after.text.trimStart()
  const match = findToken(text, 0)
  return { written, endOfTurn: match?.start === 0 && !hasChannel() ? match.token.content : undefined }

  /**
   * True if the model writes further control tokens before the answer, such as gpt-oss's `<|channel|>`. What the template
   * writes after such an answer ends only one of several messages of a turn.
   */
  function hasChannel(): boolean {
    if (start === undefined) return false
    const header = joinTexts(parts.slice(0, index)).slice(start.length)
    return listTokens(header).some((token) => !start.includes(token))
  }
}

function* findAll(text: string, findToken: FindToken<{ readonly content: string }>): Generator<string> {
  for (let match = findToken(text, 0); match; match = findToken(text, match.end)) yield match.token.content
}

function joinTexts(parts: readonly PromptPart[]): string {
  return parts.map(({ text }) => text).join('')
}
