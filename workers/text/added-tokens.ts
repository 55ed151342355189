import { createTokenMatcher } from './token-matcher.js'
import { wordCharacter } from './pre-tokenizer.js'
import type { PromptText } from './prompt-text.js'

/** A token that is matched in the text before the tokenizer's model runs: `added_tokens` in `tokenizer.json`. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** True if the token controls the model. User text must never become such a token. */
  readonly isControl: boolean
  /** True if the token is matched in the normalized text. */
  readonly isNormalized: boolean
  /** True if the token is matched only as a whole word. */
  readonly isSingleWord: boolean
  /** True if the token takes the white space before or after it with it. */
  readonly stripsLeft: boolean
  readonly stripsRight: boolean
}

/** A part of a text: an added token, or a text between added tokens with its position in the whole text. */
export type Section = AddedToken | { readonly text: string; readonly start: number }

const endsWithWord = new RegExp(`${wordCharacter}$`, 'u')
const startsWithWord = new RegExp(`^${wordCharacter}`, 'u')
const leadingSpace = /^\p{White_Space}*/u

/**
 * Creates a function that splits a prompt at added tokens, as Python's `tokenizers` does (`added_vocabulary.rs`): the first
 * match wins, then the longest. A control token is matched only where no character of it is content.
 */
export function createSectionSplitter(
  tokens: readonly AddedToken[],
): (prompt: PromptText) => Generator<Section, undefined, undefined> {
  const findToken = createTokenMatcher(tokens)

  return function* splitSections(prompt) {
    const { text } = prompt
    let done = 0
    let from = 0
    for (;;) {
      const match = findToken(text, from)
      if (!match) break
      const { token } = match
      from = match.end
      if (token.isControl && prompt.hasContent(match.start, match.end)) {
        // Content must not hide a token of the template that starts inside the refused match.
        from = prompt.findTemplate(match.start, match.end)
        continue
      }
      if (token.isSingleWord && isInsideWord(text, match.start, match.end)) continue
      const start = token.stripsLeft ? Math.max(done, skipSpaceBefore(text, match.start)) : match.start
      const spaceAfter = token.stripsRight ? leadingSpace.exec(text.slice(match.end))![0].length : 0
      if (start > done) yield { text: text.slice(done, start), start: done }
      yield token
      done = match.end + spaceAfter
      from = Math.max(from, done)
    }
    if (done < text.length) yield { text: text.slice(done), start: done }
    return undefined
  }
}

function isInsideWord(text: string, start: number, end: number): boolean {
  return (
    endsWithWord.test(text.slice(Math.max(0, start - 2), start)) ||
    startsWithWord.test(text.slice(end, end + 2))
  )
}

/** Returns the index of the first white space before `end` that only white space follows, or `end`. */
function skipSpaceBefore(text: string, end: number): number {
  let start = end
  // All white space is in the Basic Multilingual Plane: one code unit each.
  while (start > 0 && /\p{White_Space}/u.test(text[start - 1]!)) start -= 1
  return start
}
