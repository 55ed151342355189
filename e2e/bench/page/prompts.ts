/** Words that, with a leading space, are one token each in the vocabularies of SmolLM2 and random_llama.py. */
const words = [
  'the',
  'of',
  'and',
  'to',
  'in',
  'is',
  'you',
  'it',
  'he',
  'was',
  'for',
  'on',
  'are',
  'as',
  'his',
  'at',
]

/** Returns a text of `tokens` tokens. Each starts with different words, so that no runtime can reuse a cached prefix. */
export type CreatePrompt = (tokens: number) => string

/** @param start the number of the first text. Another number gives other texts */
export function createPrompts(start = 0): CreatePrompt {
  let count = start
  return (tokens) => {
    const number = count++
    // The number in base `words.length`, lowest digit first.
    const digits = Array.from(
      { length: tokens },
      (_, place) => Math.floor(number / words.length ** place) % words.length,
    )
    return digits.map((digit) => ` ${words[digit]}`).join('')
  }
}
