import type { GenerateRequest } from '../../lib/contract/request.js'
import { joinAnswer } from '../openai-body.js'
import type { ChatTemplate, PromptPart } from '../text/chat-template.js'
import { escapePattern } from '../text/escape-pattern.js'
import { renderPrompt } from '../text/prompt.js'
import type { GgufHeader } from './gguf-header.js'

/** An invisible character: a control token that contains it is not recognized. */
const wordJoiner = '\u2060'

/**
 * Renders a prompt as one text, the only form that the runtime accepts. The runtime treats control tokens anywhere in the
 * text as real ones, so control tokens in message contents are broken up.
 */
export type RenderPrompt = (request: GenerateRequest) => string

export function createPromptRenderer(
  { controlTokens, beginToken, addsBeginToken }: GgufHeader,
  chatTemplate: ChatTemplate | undefined,
): RenderPrompt {
  const breakTokens = createTokenBreaker(controlTokens)

  return (request) => {
    const parts = [...renderPrompt(chatTemplate, request), { text: joinAnswer(request), isContent: true }]
    const text = breakTokens(parts)
    // The tokenizer adds the begin token itself.
    const isTwice = addsBeginToken && beginToken !== undefined && text.startsWith(beginToken)
    return isTwice ? text.slice(beginToken.length) : text
  }
}

/**
 * Creates a function that joins the parts of a prompt and breaks every control token that does not come entirely from the
 * template.
 */
function createTokenBreaker(controlTokens: readonly string[]): (parts: readonly PromptPart[]) => string {
  // A token of one character cannot be broken; no control token is that short.
  const breakable = controlTokens.filter((token) => token.length > measureFirst(token))
  const longestFirst = breakable.toSorted((a, b) => b.length - a.length)
  const pattern = new RegExp(longestFirst.map(escapePattern).join('|') || '(?!)', 'g')

  return (parts) => {
    const text = parts.map((part) => part.text).join('')
    const isContent = markContents(parts, text.length)
    let broken = ''
    let done = 0
    for (;;) {
      pattern.lastIndex = done
      const found = pattern.exec(text)
      if (!found) return broken + text.slice(done)
      const [token] = found
      const isWords = isContent.subarray(found.index, found.index + token.length).includes(1)
      // The search continues after the first character, because the rest of a broken token may contain a shorter token.
      const end = found.index + (isWords ? measureFirst(token) : token.length)
      broken += text.slice(done, end) + (isWords ? wordJoiner : '')
      done = end
    }
  }
}

/** Returns a mark for each UTF-16 code unit: 1 if the unit belongs to a message's content. */
function markContents(parts: readonly PromptPart[], length: number): Uint8Array {
  const marks = new Uint8Array(length)
  let start = 0
  for (const { text, isContent } of parts) {
    if (isContent) marks.fill(1, start, start + text.length)
    start += text.length
  }
  return marks
}

/** Returns the length of the first character, in UTF-16 code units. */
function measureFirst(token: string): number {
  return (token.codePointAt(0) ?? 0) > 0xffff ? 2 : 1
}
