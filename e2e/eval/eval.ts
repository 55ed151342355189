import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { RequestMessage } from '../../lib/contract/request.js'
import { preparePython, runScript } from '../models/prepare.js'
import { exchangeSentences, measureCoherence } from './coherence.js'
import {
  measureKnownWords,
  measureNamedTwice,
  measureRepeatedTrigrams,
  namesSubjects,
  splitWords,
} from './measures.js'
import { storyRequests, type StoryRequest } from './requests.js'
import { openStoryteller, type Story, type Storyteller, type StorySampling } from './storyteller.js'

const root = resolve(import.meta.dirname, '../..')
const cache = join(root, '.cache/eval')

export interface EvalOptions {
  /** Folders of additional models, in the layout of Hugging Face ONNX models. */
  readonly models: readonly string[]
  readonly temperature: number
  readonly maxTokens: number
}

interface Answer extends StoryRequest, Story {
  readonly seed: number
  readonly namesSubject: boolean
}

interface Column {
  readonly name: string
  readonly cells: readonly string[]
}

const measures = [
  'stories that name their subject',
  'stories with an end-of-sequence token',
  'words in the vocabulary of the corpus',
  'repeated trigrams',
  'sentences that name the subject twice',
  'sentences that are consistent with the story so far',
  'loss on held-out stories, nats per token',
  'loss on training stories, nats per token',
  'tokens per story',
]

/** Generates all stories with each model, prints the table and writes the stories to `.cache/eval/stories.json`. */
export async function evalStories({ models, ...sampling }: EvalOptions): Promise<void> {
  const corpus = process.env.RIVULET_STORIES_CORPUS ?? join(root, '../shared/data/tinystories/stories.txt')
  if (!existsSync(corpus))
    throw new Error(
      `The corpus ${corpus} does not exist. Set RIVULET_STORIES_CORPUS to the path of stories.txt.`,
    )
  const python = preparePython()
  if ('unavailable' in python) throw new Error(python.unavailable)
  mkdirSync(cache, { recursive: true })
  const stories = readFileSync(corpus, 'utf8').split('<|endoftext|>')
  const vocabulary = new Set(stories.flatMap(splitWords))
  const evaluated: readonly (readonly [string, string])[] = [
    ...exportVersion1(),
    ['embedded', join(root, 'demo/public/models/stories')],
    ...models.map((folder) => [folder, folder] as const),
  ]
  const columns: Column[] = []
  const storiesByModel: Record<string, readonly Answer[]> = {}
  for (const [name, folder] of evaluated) {
    const storyteller = await openStoryteller(folder)
    const answers = await generateAll(storyteller, sampling).finally(() => storyteller.release())
    const losses = measureLosses(folder, corpus)
    columns.push({ name, cells: describe(answers, vocabulary, losses) })
    storiesByModel[name] = answers
    writeFileSync(join(cache, 'stories.json'), `${JSON.stringify(storiesByModel, undefined, 1)}\n`)
  }
  const corpusCells = (texts: readonly string[], trigrams: string) => {
    const coherence = formatShare(measureCoherence(texts))
    return ['', '', '', trigrams, '', coherence]
  }
  columns.push(
    { name: 'corpus', cells: corpusCells(stories, formatShare(measureRepeatedTrigrams(stories))) },
    { name: 'corpus, sentences exchanged', cells: corpusCells(exchangeSentences(stories), '') },
  )
  console.log(
    `${storyRequests.length} requests (e2e/eval/requests.ts), seeds 1 to ${storyRequests.length}, ` +
      `temperature ${sampling.temperature}, max tokens ${sampling.maxTokens}, other options from generation_config.json.\n`,
  )
  console.log(formatTable(columns))
}

/** Exports version 1 from its weights, if they exist on this machine. */
function exportVersion1(): readonly (readonly [string, string])[] {
  const source = process.env.RIVULET_STORIES_MODEL ?? join(root, '../shared/data/stories-model')
  if (!existsSync(source)) return []
  const output = join(cache, 'version-1')
  const { status, output: printed } = runScript('export_stories.py', source, output)
  if (status !== 0) throw new Error(`export_stories.py failed:\n${printed}`)
  return [['version 1', join(output, 'stories')]]
}

async function generateAll(storyteller: Storyteller, sampling: StorySampling): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  for (const [index, request] of storyRequests.entries()) {
    const options = { ...sampling, seed: index + 1 }
    const story = await storyteller.generate(await converse(storyteller, request, options), options)
    const namesSubject = namesSubjects(story.text, request.subjects)
    answers.push({ seed: options.seed, ...request, ...story, namesSubject })
  }
  return answers
}

/**
 * Returns the messages of a request. A follow-up contains the earlier question and the model's answer to it, unless the demo
 * would drop them because they exceed half of the context.
 */
async function converse(
  storyteller: Storyteller,
  { text, after }: StoryRequest,
  options: StorySampling,
): Promise<readonly RequestMessage[]> {
  const question: RequestMessage = { role: 'user', content: text }
  if (after === undefined) return [question]
  const earlier: RequestMessage = { role: 'user', content: after }
  const story = await storyteller.generate([earlier], options)
  const isDropped = story.promptTokens + story.tokens > storyteller.contextLength / 2
  return isDropped ? [question] : [earlier, { role: 'assistant', content: story.text }, question]
}

interface Losses {
  readonly heldOut: number
  /** The loss on stories of the training set, measured in the same way. Both are in nats per token. */
  readonly trainedOn: number
}

function measureLosses(folder: string, corpus: string): Losses {
  const { status, output } = runScript('training/held_out.py', folder, corpus)
  if (status !== 0) throw new Error(`held_out.py failed:\n${output}`)
  return JSON.parse(output.trim().split('\n').at(-1)!)
}

function describe(
  answers: readonly Answer[],
  vocabulary: ReadonlySet<string>,
  losses: Losses,
): readonly string[] {
  const texts = answers.map(({ text }) => text)
  const share = (isCounted: (answer: Answer) => boolean) =>
    formatShare(answers.filter(isCounted).length / answers.length)
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0) / answers.length
  return [
    share(({ namesSubject }) => namesSubject),
    share(({ hasEndToken }) => hasEndToken),
    formatShare(measureKnownWords(texts, vocabulary)),
    formatShare(measureRepeatedTrigrams(texts)),
    formatShare(measureNamedTwice(answers)),
    formatShare(measureCoherence(texts)),
    losses.heldOut.toFixed(3),
    losses.trainedOn.toFixed(3),
    tokens.toFixed(0),
  ]
}

const formatShare = (share: number) => `${(share * 100).toFixed(1)} %`

/** Formats a Markdown table with a row for each measure. */
function formatTable(columns: readonly Column[]): string {
  const rows = [
    ['', ...columns.map(({ name }) => name)],
    ['---', ...columns.map(() => '---:')],
    ...measures.map((measure, row) => [measure].concat(columns.map(({ cells }) => cells[row] ?? ''))),
  ]
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
}
