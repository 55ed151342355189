/** Splits a text into lower-case words without punctuation. */
export function splitWords(text: string): readonly string[] {
  return text.toLowerCase().match(/[a-z]+(?:'[a-z]+)*/g) ?? []
}

const irregularPlurals: Readonly<Record<string, string>> = {
  mouse: 'mice',
  fish: 'fish',
  sheep: 'sheep',
  snowman: 'snowmen',
  volcano: 'volcanoes',
}

function pluralOf(noun: string): string {
  const irregular = irregularPlurals[noun]
  if (irregular !== undefined) return irregular
  if (/(?:s|x|z|ch|sh)$/.test(noun)) return `${noun}es`
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`
}

/** Whether the text contains each subject as a whole word, in the singular or plural. */
export function namesSubjects(text: string, subjects: readonly string[]): boolean {
  const words = new Set(splitWords(text).map((word) => word.replace(/'s$/, '')))
  return subjects
    .map((subject) => subject.toLowerCase())
    .every((subject) => words.has(subject) || words.has(pluralOf(subject)))
}

/** The share (0 to 1) of sentences that name a subject of their story more than once: "the robot and the robot". */
export function measureNamedTwice(
  stories: readonly { readonly text: string; readonly subjects: readonly string[] }[],
): number {
  const sentences = stories.flatMap(({ text, subjects }) =>
    text
      .split(/[.!?]/)
      .map((sentence) => splitWords(sentence).map((word) => word.replace(/'s$/, '')))
      .filter((words) => words.length > 0)
      .map((words) => subjects.some((subject) => countName(words, subject.toLowerCase()) > 1)),
  )
  return sentences.filter(Boolean).length / sentences.length
}

function countName(words: readonly string[], subject: string): number {
  return words.filter((word) => word === subject || word === pluralOf(subject)).length
}

/** The share (0 to 1) of words that are in the vocabulary. */
export function measureKnownWords(texts: readonly string[], vocabulary: ReadonlySet<string>): number {
  const words = texts.flatMap(splitWords)
  return words.filter((word) => vocabulary.has(word)).length / words.length
}

/** The share (0 to 1) of word trigrams that occurred earlier in the same text. */
export function measureRepeatedTrigrams(texts: readonly string[]): number {
  let total = 0
  let repeated = 0
  for (const text of texts) {
    const words = splitWords(text)
    const trigrams = words.slice(2).map((_, index) => words.slice(index, index + 3).join(' '))
    total += trigrams.length
    repeated += trigrams.length - new Set(trigrams).size
  }
  return total === 0 ? 0 : repeated / total
}
