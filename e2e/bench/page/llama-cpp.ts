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
/** With one thread per core, the code that delivers the tokens would wait for a core: on two cores this hides all else. */
const threads = 1
/** rivulet's prefill chunk size. wllama uses the same, so that only the code around llama.cpp differs. */
const chunkTokens = 32

interface Running {
  readonly device: 'webgpu' | 'wasm'
  readonly newTokens: number
}

/** Compares llamaCpp() with wllama called on the page, as its documentation shows: same file, same build of llama.cpp. */
export function measureLlamaCpp({ device, newTokens }: Running): Section {
  return async (plan) => {
    const { ggufUrl } = plan.model
    if (ggufUrl === undefined) return []
    const subjects = [await openLlamaCpp(ggufUrl, device), await openWllama(ggufUrl, device)] as const
    return withSubjects(subjects, () => compare(plan, newTokens, subjects))
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
    // Alternate which one is first.
    const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const)
    for (const side of order) answers[side].push(await answer(side === 'ours' ? ours : theirs))
    console.log(`${plan.section}, ${plan.model.name}: round ${round + 1}`)
  }
  const named = { ...describePlan(plan), context }
  const toRate = ({ msPerToken }: Answer) => 1000 / msPerToken
  return [
    createRow({
      ...named,
      quantity: 'tokens/s',
      unit: '',
      values: answers.ours.map(toRate),
      baseline: { name: theirs.name, values: answers.theirs.map(toRate) },
      bound: { of: 'ratio', kind: 'at least', limit: 0.97 },
    }),
    createRow({
      ...named,
      quantity: `time per token minus ${theirs.name}'s`,
      unit: 'ms',
      values: answers.ours.map(({ msPerToken }, round) => msPerToken - answers.theirs[round]!.msPerToken),
    }),
    createRow({
      ...named,
      quantity: 'TTFT',
      unit: 'ms',
      values: answers.ours.map(({ ttftMs }) => ttftMs),
      baseline: { name: theirs.name, values: answers.theirs.map(({ ttftMs }) => ttftMs) },
    }),
    createRow({
      ...named,
      quantity: `TTFT minus ${theirs.name}'s`,
      unit: 'ms',
      values: answers.ours.map(({ ttftMs }, round) => ttftMs - answers.theirs[round]!.ttftMs),
      bound: { of: 'value', kind: 'at most', limit: 5 },
    }),
  ]
}

const noCounts = () => Promise.reject(new Error('The WebGPU calls of llama.cpp are not counted.'))

async function openLlamaCpp(model: string, device: Running['device']): Promise<Subject> {
  const engine = await createEngine({ backend: llamaCpp({ device, threads, contextLength }), model })
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

async function openWllama(model: string, device: Running['device']): Promise<Subject> {
  const silent = { debug() {}, log() {}, warn() {}, error() {} }
  const wllama = new Wllama({ default: new URL(wasmUrl, location.href).href }, { logger: silent })
  const file = await (await fetch(model)).blob()
  await wllama.loadModel([file], {
    n_ctx: contextLength,
    n_threads: threads,
    // By default, wllama offloads all layers.
    ...(device === 'wasm' && { n_gpu_layers: 0 }),
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
