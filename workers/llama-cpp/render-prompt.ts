import { RivuletError } from '../../lib/contract/errors.js'
import { nothingSaid, type GenerateRequest } from '../../lib/contract/options.js'
import { renderChatTemplate, type PromptPart } from '../text/chat-template.js'
import { escapePattern } from '../text/escape-pattern.js'
import type { GgufHeader } from './gguf-header.js'

/** An invisible character: a control token that contains it is not recognized. */
const wordJoiner = '\u2060'

/**
 * Renders a prompt as one text, the only form that the runtime accepts. The runtime finds control tokens in the text, so
 * message contents must not contain any.
 */
export type RenderPrompt = (
  request: Pick<GenerateRequest, 'prompt' | 'begun' | 'applyChatTemplate' | 'said'>,
) => string

export function createPromptRenderer(header: GgufHeader): RenderPrompt {
  const { chatTemplate, controlTokens, beginToken, endToken, addsBeginToken } = header
  const breakTokens = createTokenBreaker(controlTokens)
  const tokens = { bos_token: beginToken, eos_token: endToken }

  function render({ prompt, applyChatTemplate }: Pick<GenerateRequest, 'prompt' | 'applyChatTemplate'>) {
    if (chatTemplate !== undefined && applyChatTemplate !== false) {
      const messages = typeof prompt === 'string' ? [{ role: 'user' as const, content: prompt }] : prompt
      return renderChatTemplate(chatTemplate, messages, tokens)
    }
    if (typeof prompt === 'string' && !applyChatTemplate) return [{ text: prompt, isContent: true }]
    throw new RivuletError('invalid-option', 'This model has no chat template. Pass the prompt as a string.')
  }

  return (request) => {
    const { before, own } = request.said ?? nothingSaid
    const said = (request.begun ?? '') + before.text + own.text
    const parts = [...render(request), { text: said, isContent: true }]
    const text = breakTokens(parts)
    // The tokenizer adds the begin token itself.
    const isTwice = addsBeginToken && beginToken !== undefined && text.startsWith(beginToken)
    return isTwice ? text.slice(beginToken.length) : text
  }
}

/** Joins the parts of a prompt. Breaks every control token that does not come entirely from the template. */
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
      // After the first character, the broken token may still contain a shorter one.
      const end = found.index + (isWords ? measureFirst(token) : token.length)
      broken += text.slice(done, end) + (isWords ? wordJoiner : '')
      done = end
    }
  }
}

/** Marks each code unit: 1 if it belongs to a message's content. */
function markContents(parts: readonly PromptPart[], length: number): Uint8Array {
  const marks = new Uint8Array(length)
  let start = 0
  for (const { text, isContent } of parts) {
    if (isContent) marks.fill(1, start, start + text.length)
    start += text.length
  }
  return marks
}

/** The length of the first character, in UTF-16 code units. */
function measureFirst(token: string): number {
  return (token.codePointAt(0) ?? 0) > 0xffff ? 2 : 1
}
