import type { GenerateRequest } from '../../lib/contract/request.js'
import { joinAnswer } from '../openai-body.js'
import { renderChatTemplate, type PromptPart } from '../text/chat-template.js'
import { escapePattern } from '../text/escape-pattern.js'
import type { GgufHeader } from './gguf-header.js'

/** Seen by nobody; a token that it stands in is none. */
const wordJoiner = '\u2060'

/**
 * A prompt as one text, which is all that the runtime takes: it finds the control tokens itself, and so must find none
 * in anybody's words.
 */
export type RenderPrompt = (request: GenerateRequest) => string

export function createPromptRenderer(header: GgufHeader): RenderPrompt {
  const { chatTemplate, controlTokens, beginToken, endToken, addsBeginToken } = header
  const breakTokens = createTokenBreaker(controlTokens)
  const tokens = { bos_token: beginToken, eos_token: endToken }

  function render({ input }: GenerateRequest) {
    if (input.kind === 'text') return [{ text: input.text, isContent: true }]
    // A model without one does not support the input `chat`.
    return renderChatTemplate(chatTemplate ?? '', input.messages, tokens)
  }

  return (request) => {
    const parts = [...render(request), { text: joinAnswer(request), isContent: true }]
    const text = breakTokens(parts)
    // The tokenizer puts it there by itself.
    const isTwice = addsBeginToken && beginToken !== undefined && text.startsWith(beginToken)
    return isTwice ? text.slice(beginToken.length) : text
  }
}

/** Joins a prompt's parts, and breaks the control tokens in it that are not the template's alone. */
function createTokenBreaker(controlTokens: readonly string[]): (parts: readonly PromptPart[]) => string {
  // Of one character, there is nothing to break; none of those steers.
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
      // Behind its first character, what was a token may still hold a shorter one.
      const end = found.index + (isWords ? measureFirst(token) : token.length)
      broken += text.slice(done, end) + (isWords ? wordJoiner : '')
      done = end
    }
  }
}

/** Each code unit's: 1 where it is somebody's words. */
function markContents(parts: readonly PromptPart[], length: number): Uint8Array {
  const marks = new Uint8Array(length)
  let start = 0
  for (const { text, isContent } of parts) {
    if (isContent) marks.fill(1, start, start + text.length)
    start += text.length
  }
  return marks
}

/** The first character, in UTF-16 code units. */
function measureFirst(token: string): number {
  return (token.codePointAt(0) ?? 0) > 0xffff ? 2 : 1
}
