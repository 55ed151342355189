import type { PromptPart } from '../text/chat-template.js'
import { joinParts } from '../text/prompt-text.js'
import { createTokenMatcher } from '../text/token-matcher.js'
import type { GgufHeader } from './gguf-header.js'

/** An invisible character: a control token that contains it is not recognized. */
const wordJoiner = '\u2060'

/**
 * Writes a prompt as one text, the only form that the runtime accepts. The runtime treats control tokens anywhere in the text
 * as real ones, so control tokens in contents are broken up.
 */
export type WritePrompt = (parts: readonly PromptPart[]) => string

/** @param controlTokens see `readControlTokens` */
export function createPromptWriter(
  { beginToken, addsBeginToken }: GgufHeader,
  controlTokens: readonly string[],
): WritePrompt {
  const breakTokens = createTokenBreaker(controlTokens)

  return (parts) => {
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
  const findToken = createTokenMatcher(breakable.map((content) => ({ content })))

  return (parts) => {
    const prompt = joinParts(parts)
    const { text } = prompt
    let broken = ''
    let done = 0
    for (let match = findToken(text, 0); match; match = findToken(text, done)) {
      const isWords = prompt.hasContent(match.start, match.end)
      // The search continues after the first character, because the rest of a broken token may contain a shorter token.
      const end = isWords ? match.start + measureFirst(match.token.content) : match.end
      broken += text.slice(done, end) + (isWords ? wordJoiner : '')
      done = end
    }
    return broken + text.slice(done)
  }
}

/** Returns the length of the first character, in UTF-16 code units. */
function measureFirst(token: string): number {
  return (token.codePointAt(0) ?? 0) > 0xffff ? 2 : 1
}
