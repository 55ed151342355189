import type { PromptPart } from '../chat-template.js'
import type { Tokenizer } from '../tokenizer.js'

/** What could follow a forced text: a letter, a digit, and the characters around values of JSON. */
const probes = ['', 'a', '1', '"', ' ', '}']

/** The numbers of earlier tokens that are encoded again, to see how the text continues them. */
const contextLengths = [8, 2]

/**
 * Returns the tokens that the tokenizer writes for a text that must follow, as far as they do not depend on what comes
 * after it. Returns none if the tokenizer would not write the earlier tokens as they are.
 * @param answerIds the tokens of the answer so far
 * @param marks the texts that are written as control tokens
 */
export async function encodeForced(
  tokenizer: Pick<Tokenizer, 'encode' | 'decode'>,
  answerIds: readonly number[],
  text: string,
  marks: readonly string[] = [],
): Promise<readonly number[]> {
  for (const length of new Set(contextLengths.map((each) => Math.min(each, answerIds.length)))) {
    const context = answerIds.slice(answerIds.length - length)
    const start = tokenizer.decode(context)
    const encoded = await Promise.all(
      probes.map((probe) => tokenizer.encode(splitMarks(start + text + probe, marks))),
    )
    const [ids = [], ...others] = encoded
    if (!context.every((id, index) => ids[index] === id)) continue
    const common = ids.findIndex((id, index) => others.some((other) => other[index] !== id))
    return ids.slice(length, common === -1 ? ids.length : common)
  }
  return []
}

/** Splits a text at the marks, which the tokenizer then writes as one token each. */
function splitMarks(text: string, marks: readonly string[]): readonly PromptPart[] {
  const first = marks
    .map((mark) => ({ mark, start: text.indexOf(mark) }))
    .filter(({ start }) => start >= 0)
    .toSorted((a, b) => a.start - b.start || b.mark.length - a.mark.length)[0]
  if (!first) return [{ text, isContent: true }]
  const end = first.start + first.mark.length
  return [
    { text: text.slice(0, first.start), isContent: true },
    { text: first.mark, isContent: false },
    ...splitMarks(text.slice(end), marks),
  ]
}
