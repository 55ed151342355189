import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ChatMessage } from '../../lib/contract/request.js'
import { preparePython, runScript } from '../models/prepare.js'
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
  /** Folders in the layout of Hugging Face ONNX models, beside the embedded one and version 1. */
  readonly models: readonly string[]
  readonly temperature: number
  readonly maxTokens: number
}

interface Answer extends StoryRequest, Story {
  readonly seed: number
  readonly isOnSubject: boolean
}

interface Column {
  readonly name: string
  readonly cells: readonly string[]
}

const measures = [
  'names its subject',
  'ends by itself',
  "words in the corpus's vocabulary",
  'repeated trigrams',
  'sentences that name the subject twice',
  'held-out loss, nats a token',
  'the same on stories it was trained on',
  'tokens a story',
]

/** Tells all stories with each model, prints the table, and writes the stories to `.cache/eval/stories.json`. */
export async function evalStories({ models, ...sampling }: EvalOptions): Promise<void> {
  const corpus = process.env.RIVULET_STORIES_CORPUS ?? join(root, '../shared/data/tinystories/stories.txt')
  if (!existsSync(corpus))
    throw new Error(`RIVULET_STORIES_CORPUS names the corpus, stories.txt; there is none at ${corpus}.`)
  const python = preparePython()
  if ('unavailable' in python) throw new Error(python.unavailable)
  mkdirSync(cache, { recursive: true })
  const stories = readFileSync(corpus, 'utf8').split('<|endoftext|>')
  const vocabulary = new Set(stories.flatMap(splitWords))
  const known: readonly (readonly [string, string])[] = [
    ...exportVersion1(),
    ['embedded', join(root, 'demo/public/models/stories')],
    ...models.map((folder) => [folder, folder] as const),
  ]
  const columns: Column[] = []
  const told: Record<string, readonly Answer[]> = {}
  for (const [name, folder] of known) {
    const storyteller = await openStoryteller(folder)
    const answers = await tellAll(storyteller, sampling).finally(() => storyteller.release())
    const losses = measureLosses(folder, corpus)
    columns.push({ name, cells: describe(answers, vocabulary, losses) })
    told[name] = answers
    writeFileSync(join(cache, 'stories.json'), `${JSON.stringify(told, undefined, 1)}\n`)
  }
  columns.push({
    name: 'corpus',
    cells: ['', '', '', formatShare(measureRepeatedTrigrams(stories))],
  })
  console.log(
    `${storyRequests.length} requests (e2e/eval/requests.ts), seeds 1 to ${storyRequests.length}, ` +
      `temperature ${sampling.temperature}, at most ${sampling.maxTokens} tokens, the rest from generation_config.json.\n`,
  )
  console.log(formatTable(columns))
}

/** Version 1, exported from its weights where they are at hand. */
function exportVersion1(): readonly (readonly [string, string])[] {
  const source = process.env.RIVULET_STORIES_MODEL ?? join(root, '../shared/data/stories-model')
  if (!existsSync(source)) return []
  const output = join(cache, 'version-1')
  const { status, output: printed } = runScript('export_stories.py', source, output)
  if (status !== 0) throw new Error(`export_stories.py failed:\n${printed}`)
  return [['version 1', join(output, 'stories')]]
}

async function tellAll(storyteller: Storyteller, sampling: StorySampling): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  for (const [index, request] of storyRequests.entries()) {
    const options = { ...sampling, seed: index + 1 }
    const story = await storyteller.tell(await converse(storyteller, request, options), options)
    const isOnSubject = namesSubjects(story.text, request.subjects)
    answers.push({ seed: options.seed, ...request, ...story, isOnSubject })
  }
  return answers
}

/** A follow-up comes behind the model's own answer to what was asked before, unless the demo would have left that out. */
async function converse(
  storyteller: Storyteller,
  { text, after }: StoryRequest,
  options: StorySampling,
): Promise<readonly ChatMessage[]> {
  const question: ChatMessage = { role: 'user', content: text }
  if (after === undefined) return [question]
  const earlier: ChatMessage = { role: 'user', content: after }
  const story = await storyteller.tell([earlier], options)
  const isForgotten = story.promptTokens + story.tokens > storyteller.contextLength / 2
  return isForgotten ? [question] : [earlier, { role: 'assistant', content: story.text }, question]
}

interface Losses {
  readonly heldOut: number
  /** Measured alike. */
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
    share(({ isOnSubject }) => isOnSubject),
    share(({ hasEnded }) => hasEnded),
    formatShare(measureKnownWords(texts, vocabulary)),
    formatShare(measureRepeatedTrigrams(texts)),
    formatShare(measureNamedTwice(answers)),
    losses.heldOut.toFixed(3),
    losses.trainedOn.toFixed(3),
    tokens.toFixed(0),
  ]
}

const formatShare = (share: number) => `${(share * 100).toFixed(1)} %`

/** A Markdown table: a row for each measure. */
function formatTable(columns: readonly Column[]): string {
  const rows = [
    ['', ...columns.map(({ name }) => name)],
    ['---', ...columns.map(() => '---:')],
    ...measures.map((measure, row) => [measure].concat(columns.map(({ cells }) => cells[row] ?? ''))),
  ]
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
}
