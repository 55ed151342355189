import type { Tokenizer } from '../tokenizer.js'

/** What could follow a forced text: a letter, a digit, and the characters around values of JSON. */
const openProbes = ['', 'a', '1', '"', ' ', '}']

/** The numbers of earlier tokens that are encoded again, to see how the text continues them. */
const contextLengths = [8, 2]

/**
 * Returns the tokens that the tokenizer writes for a text that must follow, as far as they do not depend on what comes
 * after it. Returns none if the tokenizer would not write the earlier tokens as they are.
 * @param answerIds the tokens of the answer so far
 * @param isWhole true if a control token follows the text, so that nothing else can change its tokens
 */
export async function encodeForced(
  tokenizer: Pick<Tokenizer, 'encode' | 'decode'>,
  answerIds: readonly number[],
  text: string,
  isWhole = false,
): Promise<readonly number[]> {
  const probes = isWhole ? [''] : openProbes
  for (const length of new Set(contextLengths.map((each) => Math.min(each, answerIds.length)))) {
    const context = answerIds.slice(answerIds.length - length)
    const start = tokenizer.decode(context)
    const encoded = await Promise.all(
      probes.map((probe) => tokenizer.encode([{ text: start + text + probe, isContent: true }])),
    )
    const [ids = [], ...others] = encoded
    if (!context.every((id, index) => ids[index] === id)) continue
    const common = ids.findIndex((id, index) => others.some((other) => other[index] !== id))
    return ids.slice(length, common === -1 ? ids.length : common)
  }
  return []
}
