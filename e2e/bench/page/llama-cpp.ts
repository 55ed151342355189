import { Wllama } from '@wllama/wllama/esm/index.min.js'
import wasmUrl from '@wllama/wllama/esm/wasm/wllama.wasm?url'
import { createEngine } from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { askEngine } from './ask-engine.js'
import { answerExactly, describePlan, sequence, withSubjects, type Plan, type Section } from './plan.js'
import { createPrompts } from './prompts.js'
import { createRow } from './rows.js'
import { measureTimes, type Answer, type Subject } from './subject.js'

const contextLength = 4096
/** As many as cores would have what delivers the tokens wait for one, here as there: on two cores that drowns the rest. */
const threads = 1
/** What rivulet computes a prompt in: the same for both, so that only what is around llama.cpp differs. */
const chunkTokens = 32

/** llamaCpp() and wllama itself, called on the page as its documentation has it: the same file, the same llama.cpp. */
export function measureLlamaCpp({ newTokens }: { readonly newTokens: number }): Section {
  return async (plan) => {
    const { ggufUrl } = plan.model
    if (ggufUrl === undefined) return []
    return withSubjects([await openLlamaCpp(ggufUrl), await openWllama(ggufUrl)] as const, (subjects) =>
      compare(plan, newTokens, subjects),
    )
  }
}

async function compare(
  plan: Plan,
  maxTokens: number,
  [ours, theirs]: readonly [Subject, Subject],
): Promise<ReturnType<typeof createRow>[]> {
  const createPrompt = createPrompts()
  const context = plan.contexts[0] ?? 64
  const answer = (subject: Subject) =>
    answerExactly(subject, context, { prompt: createPrompt(context), maxTokens })
  for (const subject of [ours, theirs]) await answer(subject)
  const answers = { ours: [] as Answer[], theirs: [] as Answer[] }
  for (const round of sequence(plan.rounds)) {
    // In turns, also in who begins.
    const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const)
    for (const who of order) answers[who].push(await answer(who === 'ours' ? ours : theirs))
    console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}`)
  }
  const named = { ...describePlan(plan), context }
  const toRate = ({ msPerToken }: Answer) => 1000 / msPerToken
  return [
    createRow({
      ...named,
      quantity: 'tokens a second',
      unit: '',
      values: answers.ours.map(toRate),
      baseline: { name: theirs.name, values: answers.theirs.map(toRate) },
      bound: { of: 'ratio', kind: 'at least', limit: 0.97 },
    }),
    createRow({
      ...named,
      quantity: `a token, longer than ${theirs.name}'s`,
      unit: 'ms',
      values: answers.ours.map(({ msPerToken }, round) => msPerToken - answers.theirs[round]!.msPerToken),
    }),
    createRow({
      ...named,
      quantity: 'first token',
      unit: 'ms',
      values: answers.ours.map(({ ttftMs }) => ttftMs),
      baseline: { name: theirs.name, values: answers.theirs.map(({ ttftMs }) => ttftMs) },
    }),
    createRow({
      ...named,
      quantity: `first token, later than ${theirs.name}`,
      unit: 'ms',
      values: answers.ours.map(({ ttftMs }, round) => ttftMs - answers.theirs[round]!.ttftMs),
      bound: { of: 'value', kind: 'at most', limit: 5 },
    }),
  ]
}

const noCounts = () => Promise.reject(new Error('llama.cpp on the CPU does nothing that is counted.'))

async function openLlamaCpp(model: string): Promise<Subject> {
  const engine = await createEngine({ backend: llamaCpp({ device: 'wasm', threads, contextLength }), model })
  return {
    name: 'rivulet',
    answer: (turn) => askEngine(engine, turn),
    readCounts: noCounts,
    close: () => engine.dispose(),
  }
}

interface Chunk {
  readonly choices: readonly { readonly text: string }[]
  readonly usage?: { readonly prompt_tokens: number }
}

async function openWllama(model: string): Promise<Subject> {
  const silent = { debug() {}, log() {}, warn() {}, error() {} }
  const wllama = new Wllama({ default: new URL(wasmUrl, location.href).href }, { logger: silent })
  const file = await (await fetch(model)).blob()
  await wllama.loadModel([file], {
    n_ctx: contextLength,
    n_threads: threads,
    n_gpu_layers: 0,
    n_parallel: 1,
    n_batch: chunkTokens,
    n_ubatch: chunkTokens,
  })
  return {
    name: 'wllama',
    async answer({ prompt, maxTokens }) {
      const tokenTimesMs: number[] = []
      let text = ''
      let promptTokens = 0
      const startMs = performance.now()
      await wllama.createCompletion({
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        stream: true,
        onData({ choices: [choice], usage }: Chunk) {
          if (usage) promptTokens = usage.prompt_tokens
          else tokenTimesMs.push(performance.now())
          text += choice?.text ?? ''
        },
      })
      return { promptTokens, text, ...measureTimes(startMs, tokenTimesMs) }
    },
    readCounts: noCounts,
    close: () => wllama.exit(),
  }
}
