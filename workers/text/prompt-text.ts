import type { PromptPart } from './chat-template.js'

/** A prompt as one text that knows which of its characters are untrusted. */
export interface PromptText {
  readonly text: string
  /** True if a character between the two indices belongs to a message's content. Indices count UTF-16 code units. */
  hasContent(start: number, end: number): boolean
  /** Returns the first index after `start` that is not content, or `end`. */
  findTemplate(start: number, end: number): number
}

/** Joins the parts of a prompt. Replaces halves of surrogate pairs by U+FFFD, as UTF-8 encoders do. */
export function joinParts(parts: readonly PromptPart[]): PromptText {
  const text = parts.map((part) => part.text.replaceAll(/\p{Surrogate}/gu, '\uFFFD')).join('')
  const marks = new Uint8Array(text.length)
  let start = 0
  for (const part of parts) {
    if (part.isContent) marks.fill(1, start, start + part.text.length)
    start += part.text.length
  }
  return {
    text,
    hasContent: (from, to) => marks.subarray(from, to).includes(1),
    findTemplate(from, to) {
      const found = marks.subarray(from + 1, to).indexOf(0)
      return found === -1 ? to : from + 1 + found
    },
  }
}
