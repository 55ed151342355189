import type { InitProgress, MlcChunk, MlcEngine, WebLlmRuntime } from './runtime.js'

// Stands in for web-llm 0.2.86, whose compiled model libraries cannot be had here. What it does is what that version was
// found to do: one lock that only the iterator's end gives back; one interrupt flag, cleared when a request begins and
// looked at between steps, so that a prompt is computed to its end; a prefix that is gone on from only behind a finished,
// equal conversation; token counts of what was computed alone; errors by their names.

/** Its words are its tokens: the index is the id. */
export const scriptedWords = [
  'Once',
  ' upon',
  ' a',
  ' time',
  ' there',
  ' was',
  ' a',
  ' dragon',
  '.',
  '\uFFFD',
] as const
const storyLength = 9

interface Round {
  readonly messages?: readonly { readonly role: string; readonly content: string }[]
  readonly prompt?: string
  readonly max_tokens?: number
  readonly temperature?: number
  readonly top_p?: number
  readonly seed?: number
  readonly logit_bias?: Readonly<Record<number, number>>
}

export interface ScriptedEngine extends MlcEngine {
  readonly seen: { steps: number; prefills: number; rounds: Round[]; isLocked: boolean; isUnloaded: boolean }
  /** What the next steps meet: a lost device, or an end within a character. */
  fault: 'none' | 'device lost' | 'torn end'
}

const contextWords = 400
const step = () => new Promise((resolve) => setTimeout(resolve, 2))

function createError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

export function createScriptedEngine(): ScriptedEngine {
  const seen: ScriptedEngine['seen'] = {
    steps: 0,
    prefills: 0,
    rounds: [],
    isLocked: false,
    isUnloaded: false,
  }
  let isLoaded = false
  let isInterrupted = false
  let message = ''
  let held: { readonly history: string; readonly finish: string } | undefined
  let waiting: Promise<void> = Promise.resolve()

  async function* run(round: Round): AsyncGenerator<MlcChunk, undefined> {
    let release = () => {}
    const before = waiting
    waiting = new Promise((resolve) => (release = resolve))
    await before
    seen.isLocked = true
    let finish: 'stop' | 'length' | 'abort' = 'abort'
    const history = JSON.stringify(round.messages ?? round.prompt)
    try {
      isInterrupted = false
      const prompt = round.messages?.map(({ content }) => content).join(' ') ?? round.prompt ?? ''
      const promptTokens = prompt.split(/\s+/).length + 10
      if (promptTokens > contextWords) {
        throw createError(
          'ContextWindowSizeExceededError',
          `Prompt tokens exceed context window size: ${promptTokens}`,
        )
      }
      const reused = held?.finish === 'stop' && JSON.stringify(round.messages?.slice(0, -1)) === held.history
      seen.prefills += 1
      for (let part = 0; part < promptTokens / 20; part += 1) await step()
      message = ''
      let tokens = 0
      for (const word of speak(round)) {
        if (isInterrupted) break
        if (api.fault === 'device lost' && tokens === 2) throw new Error('NDArray has already been disposed')
        await step()
        seen.steps += 1
        tokens += 1
        message += word
        if (word !== '\uFFFD') yield { choices: [createChoice(round, word)] }
      }
      finish = isInterrupted ? 'abort' : tokens === round.max_tokens ? 'length' : 'stop'
      yield { choices: [{ ...createChoice(round, ''), finish_reason: finish }] }
      const last = round.messages?.at(-1)?.content.split(/\s+/).length ?? 0
      yield {
        choices: [],
        usage: {
          prompt_tokens: reused ? last : promptTokens,
          completion_tokens: tokens,
          extra: { time_to_first_token_s: 0.004, time_per_output_token_s: 0.002 },
        },
      }
    } finally {
      const answered = [...(round.messages ?? []), { role: 'assistant', content: message }]
      held = { history: round.messages ? JSON.stringify(answered) : history, finish }
      seen.isLocked = false
      release()
    }
  }

  function* speak({
    max_tokens: most = Infinity,
    temperature = 1,
    top_p: topP = 1,
    seed = 0,
    logit_bias: bias,
  }: Round) {
    const isGreedy = temperature === 0 || topP < 0.01
    const forced = Object.entries(bias ?? {}).find(([, value]) => value === 100)?.[0]
    for (let index = 0; index < Math.min(most, storyLength); index += 1) {
      if (forced !== undefined) yield ' upon'
      else yield scriptedWords[isGreedy ? index : (index * (seed + 3)) % storyLength]!
    }
    if (api.fault === 'torn end' && most > storyLength) yield '\uFFFD'
  }

  const start = async (round: object): Promise<AsyncIterable<MlcChunk>> => {
    if (!isLoaded) throw createError('ModelNotLoadedError', 'Model not loaded')
    const { messages = [] } = round as Round
    if (messages.length > 0 && messages.at(-1)?.role !== 'user') {
      throw createError('MessageOrderError', 'Last message should be from either `user` or `tool`.')
    }
    seen.rounds.push(round as Round)
    return run(round as Round)
  }

  const api: ScriptedEngine = {
    seen,
    fault: 'none',
    async reload(model) {
      // What it really does when it is aborted: it resolves, and has no model.
      isLoaded = model !== 'given-up'
      if (model === 'lost')
        throw createError('DeviceLostError', 'The WebGPU device was lost while loading the model.')
    },
    async unload() {
      isLoaded = false
      seen.isUnloaded = true
    },
    async getMessage() {
      if (!isLoaded) throw createError('ModelNotLoadedError', 'Model not loaded')
      return message
    },
    chatCompletion: start,
    completion: start,
    async interruptGenerate() {
      isInterrupted = true
    },
  }
  return api
}

function createChoice({ messages }: Round, word: string): MlcChunk['choices'][number] {
  return messages ? { delta: { content: word }, finish_reason: null } : { text: word, finish_reason: null }
}

const scriptedProgress: readonly InitProgress[] = [
  { progress: 0, text: 'Start to fetch params' },
  { progress: 0.5, text: 'Fetching param cache[1/2]: 10MB fetched. 50% completed, 1 secs elapsed.' },
  { progress: 1, text: 'Fetching param cache[2/2]: 20MB fetched. 100% completed, 2 secs elapsed.' },
  { progress: 0.5, text: 'Loading model from cache[1/2]: 10MB loaded. 50% completed, 3 secs elapsed.' },
  { progress: 0.5, text: 'Loading GPU shader modules[1/2]: 50% completed, 4 secs elapsed.' },
  { progress: 1, text: 'Finish loading on WebGPU' },
]

/** The package, with that engine. All its models are stored already. */
export function createScriptedRuntime(engine = createScriptedEngine()): WebLlmRuntime {
  const ids = ['Story-1B-q4f16_1-MLC', 'given-up', 'lost']
  return {
    prebuiltModels: ids.map((id) => ({
      model_id: id,
      model: 'https://models.example/a',
      model_lib: 'https://models.example/a.wasm',
    })),
    createEngine(_, onProgress) {
      const { reload } = engine
      return Object.assign(engine, {
        reload: async (model: string, overrides: object) => {
          for (const progress of scriptedProgress) onProgress(progress)
          await reload(model, overrides)
        },
      })
    },
    hasModelInCache: () => Promise.resolve(true),
  }
}
