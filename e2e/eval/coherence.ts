// Whether the sentences of a story speak of what the story has introduced.
import { splitWords } from './measures.js'

/** Words before the subject of a sentence: "But then, Tom …", "One day, the dog …". */
const openings =
  /^(?:(?:and|but|so|then|suddenly|finally|after that|later|soon|at last|one day|the next day|that night|from that day on|in the end|just then|when|as|while|because)\b,? *)+/i
/** Names begin with a capital letter, and so do these. */
const capitalWords = new Set(
  'i he she it they we you his her their its my your our this that these those there here who what where why how yes no oh wow'
    .concat(
      ' mom dad mommy daddy mum grandma grandpa mr mrs everyone everybody nobody someone both all some many one two',
    )
    .concat(
      ' once inside outside every each after before when as while because if in on at from with for by to of not',
    )
    .concat(
      ' do did does can could will would please thank thanks hello hi look let go come stop wait day time',
    )
    .split(' '),
)
/** Every story may speak of these without introducing them. */
const alwaysThere = new Set(
  'sun moon sky rain wind moral end day night morning evening next other others story lesson weather snow storm door air ground'
    .concat(' water grass clouds stars people children family world time')
    .split(' '),
)

/** What follows the subject in most sentences of the corpus. */
const verbs =
  "was|were|had|is|said|saw|went|wanted|felt|could|did|didn't|tried|and|ran|looked|asked|smiled|liked|loved|lived|came|got|took|".concat(
    'started|thought|found|flew|made|gave|told|knew|played|jumped|laughed|helped|picked|began',
  )

/**
 * The share (0 to 1) of sentences that are consistent with their story so far, of those that this can be said of: the sentences,
 * after the first, whose subject is a name or "the" with a noun. Such a sentence is consistent if
 * - its subject occurs earlier in the story, or is introduced in this sentence ("a boy named Tim"), and
 * - it does not name its subject again as somebody else: "the robot and the robot", "Tom wanted to help Tom".
 *
 * This is a proxy, without a parser. `npm run eval:stories` shows what it gives for the stories of the corpus, and for the same
 * stories with their sentences exchanged between them: a measure that does not tell these apart would say nothing.
 */
export function measureCoherence(stories: readonly string[]): number {
  const judged = stories.flatMap(judgeSentences)
  return judged.filter(Boolean).length / judged.length
}

/** Says of each sentence with a name or "the" and a noun as its subject whether it is consistent. */
function judgeSentences(story: string): boolean[] {
  const [first = '', ...rest] = splitSentences(story)
  const known = new Set(splitNouns(first))
  const judged: boolean[] = []
  for (const sentence of rest) {
    // What somebody says follows other rules.
    const told = sentence.replaceAll(/"[^"]*"?/g, ' ').trim()
    const subject = findSubject(told)
    if (subject !== undefined) judged.push(isKnown(subject, told, known) && !isNamedAgain(subject, told))
    for (const word of splitNouns(sentence)) known.add(word)
  }
  return judged
}

function splitSentences(story: string): string[] {
  return story
    .split(/(?<=[.!?]["']?)\s+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')
}

const toSingular = (word: string) => word.replace(/'s$/, '').replace(/(?<=[^s])s$/, '')
const splitNouns = (text: string) => splitWords(text).map(toSingular)

interface Subject {
  readonly word: string
  readonly isName: boolean
}

/** Finds a subject at the start of a sentence: "Tom and Lily played" or "The little dog ran". */
function findSubject(told: string): Subject | undefined {
  const sentence = told.replace(openings, '')
  const name = /^([A-Z][a-z]+)\b(?!'s)/.exec(sentence)?.[1]
  if (name !== undefined && name !== 'The' && !capitalWords.has(name.toLowerCase()))
    return { word: toSingular(name.toLowerCase()), isName: true }
  const noun = new RegExp(`^the ((?:[a-z]+ ){0,2}?[a-z]+) (?:${verbs})\\b`, 'i').exec(sentence)?.[1]
  const word = noun === undefined ? undefined : toSingular(noun.toLowerCase().split(' ').at(-1)!)
  return word === undefined || alwaysThere.has(word) ? undefined : { word, isName: false }
}

function isKnown({ word, isName }: Subject, sentence: string, known: ReadonlySet<string>): boolean {
  if (known.has(word)) return true
  return isName && new RegExp(`\\b(?:named|called|name was) ${word}\\b`, 'i').test(sentence)
}

function isNamedAgain({ word }: Subject, sentence: string): boolean {
  const words = splitWords(sentence)
  const again = words.filter(
    (each, index) => each === word && !/^(?:another|other)$/.test(words[index - 1] ?? ''),
  )
  return again.length > 1
}

/** Gives each story, after its first sentence, sentences of the stories that follow it in the list. */
export function exchangeSentences(stories: readonly string[]): string[] {
  const split = stories.map(splitSentences)
  return split.map(([first = '', ...rest], index) =>
    [
      first,
      ...rest.map((_, position) => split[(index + position + 1) % split.length]![position + 1] ?? ''),
    ].join(' '),
  )
}
