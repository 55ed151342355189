/** Words as the measures count them: in small letters, without punctuation. */
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

/** Whether the text names each subject, in the singular or the plural, as a whole word. */
export function namesSubjects(text: string, subjects: readonly string[]): boolean {
  const words = new Set(splitWords(text).map((word) => word.replace(/'s$/, '')))
  return subjects
    .map((subject) => subject.toLowerCase())
    .every((subject) => words.has(subject) || words.has(pluralOf(subject)))
}

/** How many sentences name one of their story's subjects more than once, 0 to 1: "the robot and the robot". */
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

/** How many of the texts' words are in the vocabulary, 0 to 1. */
export function measureKnownWords(texts: readonly string[], vocabulary: ReadonlySet<string>): number {
  const words = texts.flatMap(splitWords)
  return words.filter((word) => vocabulary.has(word)).length / words.length
}

/** How many of the texts' word trigrams their own text has had before, 0 to 1. */
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
