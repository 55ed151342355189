/** Words that are one token each, with the space before them, in the vocabularies of SmolLM2 and of random_llama.py. */
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

/** Text of `tokens` tokens. No two begin with the same few words: what a runtime has kept of one is no help with another. */
export type CreatePrompt = (tokens: number) => string

export function createPrompts(): CreatePrompt {
  let count = 0
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
