// One contract, every backend: the same tests through the library's own calls. The table at the end is the one in
// docs/guarantees.md.
import { readFileSync } from 'node:fs'
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions, Prompt } from 'rivulet'
import { openBarePage, streamAnswer, type SeenError } from './bare-page.js'
import { startFakeServer } from './fake-server.js'
import { startRealServer, type RealServer } from './real-server.js'

const promises = {
  text: 'The chunks joined are `result.text`, and what `text()` gives',
  backpressure: 'An unread stream holds the model back',
  cancel: 'Cancelled before the start, in the queue, during prefill or in mid-stream; the next request runs',
  order: 'Requests keep their order and never mix',
  errors: 'A refused request is a typed error, and touches no other',
  usage: 'Tokens are counted, and why the text ended',
  latency: 'Latency as the reader saw it, and by the model’s own clock where it tells',
  stop: 'Ends before a stop string',
  seed: 'The same seed, the same text; another seed, another text',
  options: 'Every option acts or is refused by name',
  control: 'A user’s control tokens stay text',
  recovery: 'Goes on behind its last token when its worker dies',
  takeOver: 'Goes on with what another backend began',
  continues: 'Goes on with an answer that is handed back, `continueFinalMessage`',
} as const
type PromiseName = keyof typeof promises

interface Subject {
  readonly name: string
  readonly kind: 'onnx wasm' | 'onnx webgpu' | 'llamaCpp' | 'webLlm' | 'remote'
  /** Promises that its runtime cannot keep, or that are not its to keep, with the reason. */
  readonly exceptions: Partial<Record<PromiseName, string>>
  /** Options that it refuses. */
  readonly refused: readonly string[]
  /** Options that its server takes and ignores, which nobody here can see. */
  readonly ignored: readonly string[]
  /** One at a time: the others wait. */
  readonly isQueued: boolean
  /** It tells token ids by themselves. */
  readonly tellsIds: boolean
  readonly tellsModelTimes: boolean
  readonly canContinue: boolean
}

const local = {
  exceptions: {},
  refused: [],
  ignored: [],
  isQueued: true,
  tellsIds: true,
  tellsModelTimes: false,
  canContinue: true,
}
const subjects: readonly Subject[] = [
  { ...local, name: '`onnx()`, WASM', kind: 'onnx wasm' },
  { ...local, name: '`onnx()`, WebGPU', kind: 'onnx webgpu' },
  { ...local, name: '`llamaCpp()`', kind: 'llamaCpp', tellsIds: false, tellsModelTimes: true },
  {
    ...local,
    name: '`webLlm()`, scripted pipeline',
    kind: 'webLlm',
    tellsIds: false,
    tellsModelTimes: true,
    canContinue: false,
    refused: ['topK', 'minP', 'topLogprobs'],
    exceptions: {
      control: 'refused in messages where they mark turns; others are not kept apart',
      takeOver: 'not kept: web-llm cannot begin behind a text',
      recovery: 'the stream ends `device-lost`, with its text; the next one gets another worker',
    },
  },
  {
    name: '`remote()`',
    kind: 'remote',
    tellsIds: false,
    tellsModelTimes: true,
    isQueued: false,
    canContinue: false,
    refused: ['topLogprobs'],
    ignored: ['logitBias'],
    exceptions: {
      backpressure: '✓ by the socket: its server writes on until the buffers are full',
      control: 'the server’s to keep',
      takeOver: '✓ with `canContinue`, where the server can: vLLM, llama.cpp’s server',
      recovery: 'with `canContinue`, as below; else the stream ends typed, with its text',
    },
  },
]

interface Servers {
  /** Answers, with the embedded model. */
  readonly real?: { readonly url: string; readonly model: string }
  /** Says two words and breaks off. */
  readonly broken?: { readonly url: string }
}

/** Opens an engine in the page; behind a server that breaks off, where there is one. */
function openEngine(page: Page, kind: Subject['kind'], { real, broken }: Servers): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ kind, real, broken }) => {
      const { createEngine, onnx, llamaCpp, remote, webLlm } = window.rivulet
      const worker = window.createFaultyWorker
      const model = './models/stories/'
      const create = {
        'onnx wasm': () => onnx({ device: 'wasm', worker, model }),
        'onnx webgpu': () => onnx({ device: 'webgpu', worker, model }),
        llamaCpp: () => llamaCpp({ worker: window.createLlamaCppWorker, model: './models/stories.gguf' }),
        // Its own check asks for a real GPU.
        webLlm: () => ({
          ...webLlm({ model: 'Story-1B-q4f16_1-MLC', worker: window.createWebLlmWorker }),
          checkAvailability: () => Promise.resolve({ isAvailable: true } as const),
        }),
        remote: () => remote({ baseURL: real!.url, model: real!.model }),
      }
      const first = broken ? [remote({ baseURL: broken.url, model: 'story-model' })] : []
      return createEngine({ backend: [...first, create[kind]()] })
    },
    { kind, real, broken },
  )
}

const question = 'Tell me a story about a dragon.'
const greedy = { temperature: 0, maxTokens: 8 } as const

/** The error that a generation ends with. */
function failGeneration(
  engine: JSHandle<Engine>,
  prompt: Prompt,
  options: Omit<GenerateOptions, 'signal'> = {},
): Promise<SeenError | undefined> {
  return engine.evaluate(
    async (engine, { prompt, options }) => {
      try {
        await engine.generate(prompt, options).text()
        return undefined
      } catch (error) {
        const { name, code, message, text } = error as SeenError
        return { name, code, message, text }
      }
    },
    { prompt, options },
  )
}

/** Cancels a generation in each of its states. */
async function checkCancel(engine: JSHandle<Engine>, isQueued: boolean): Promise<void> {
  const before = await streamAnswer(engine, question, greedy)
  const seen = await engine.evaluate(
    async (engine, { question, isQueued }) => {
      const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))
      const finish = async (stream: ReturnType<Engine['generate']>) => (await stream.result).finishReason
      const seen: Record<string, string> = {}

      const aborted = engine.generate(question, { signal: AbortSignal.abort(new Error('before')) })
      seen.before = await finish(aborted)

      const long = engine.generate('word '.repeat(180), { maxTokens: 50 })
      const queued = engine.generate(question)
      if (isQueued) await queued.cancel()
      const prefilling = long.result
      await wait(20)
      await long.cancel()
      seen.prefill = (await prefilling).finishReason
      if (!isQueued) await queued.cancel()
      seen.queued = await finish(queued)

      const left = engine.generate(question, { temperature: 0 })
      for await (const chunk of left) if (chunk.index === 2) break
      seen.middle = await finish(left)

      const abort = new AbortController()
      const signalled = engine.generate(question, { temperature: 0, signal: abort.signal })
      try {
        for await (const chunk of signalled) if (chunk.index === 1) abort.abort(new Error('enough'))
      } catch (error) {
        seen.reason = (error as Error).message
      }
      seen.signal = await finish(signalled)
      return seen
    },
    { question, isQueued },
  )
  expect(seen).toEqual({
    before: 'cancelled',
    queued: 'cancelled',
    prefill: 'cancelled',
    middle: 'cancelled',
    signal: 'cancelled',
    reason: 'enough',
  })
  const after = await streamAnswer(engine, question, greedy)
  expect(after.result.text).toBe(before.result.text)
}

type Check = (subject: Subject, engine: JSHandle<Engine>, page: Page) => Promise<void>

const checks: Readonly<Record<PromiseName, Check>> = {
  async text(_, engine) {
    const { chunks, result } = await streamAnswer(engine, question, greedy)
    expect(chunks.join('')).toBe(result.text)
    expect(result.text).not.toBe('')
    expect(
      await engine.evaluate((engine, { question, greedy }) => engine.generate(question, greedy).text(), {
        question,
        greedy,
      }),
    ).toBe(result.text)
  },

  async backpressure(_, engine) {
    // Six tokens are soon computed; but their reader stops behind the first, and so the next request never starts.
    const outcome = await engine.evaluate(async (engine, question) => {
      const wait = (ms: number) => new Promise<string>((done) => setTimeout(() => done('held back'), ms))
      const unread = engine.generate(question, { temperature: 0, maxTokens: 6 })
      const reader = unread.getReader()
      await reader.read()
      const next = engine.generate(question, { temperature: 0, maxTokens: 1 })
      const nextText = next.text()
      const early = await Promise.race([nextText, wait(4000)])
      while (!(await reader.read()).done);
      return { early, late: await nextText }
    }, question)
    expect(outcome.early).toBe('held back')
    expect(outcome.late).not.toBe('')
  },

  async cancel(subject, engine, page) {
    if (subject.kind !== 'remote') return checkCancel(engine, subject.isQueued)
    // Of the server that answers the other tests, an answer that was left can show up in the next one, or the next one
    // never comes, whoever its client is (dasLLAMA 0.6.6, seen with bare fetches): so one that is written for the test.
    const server = await startFakeServer()
    server.prefillMs = 100
    try {
      const other = await openEngine(page, 'remote', { real: { url: server.url, model: 'story-model' } })
      await checkCancel(other, subject.isQueued)
      await other.evaluate((engine) => engine.dispose())
    } finally {
      server.close()
    }
  },

  async order(_, engine) {
    const alone = await Promise.all([
      streamAnswer(engine, question, greedy),
      streamAnswer(engine, 'Tell me a story about a boat.', greedy),
    ])
    const texts = await engine.evaluate(
      async (engine, { question, greedy }) => {
        const prompts = [question, 'Tell me a story about a boat.', question]
        const results = await Promise.all(prompts.map((prompt) => engine.generate(prompt, greedy).result))
        return results.map(({ text }) => text)
      },
      { question, greedy },
    )
    expect(texts).toEqual([alone[0].result.text, alone[1].result.text, alone[0].result.text])
  },

  async errors(_, engine) {
    const [tooLong, next] = await Promise.all([
      failGeneration(engine, 'many words '.repeat(2000)),
      streamAnswer(engine, question, greedy),
    ])
    expect(tooLong).toMatchObject({ name: 'RivuletError', code: 'prompt-too-long', text: '' })
    expect(next.result.text).not.toBe('')
    expect(await failGeneration(engine, '')).toMatchObject({ code: 'invalid-option' })
  },

  async usage({ tellsIds }, engine) {
    const cut = await streamAnswer(engine, question, greedy)
    expect(cut.result.finishReason).toBe('length')
    expect(cut.result.usage.completionTokens).toBe(8)
    expect(cut.result.usage.promptTokens).toBeGreaterThan(8)
    expect(cut.tokenIds).toHaveLength(tellsIds ? 8 : 0)
    expect(cut.result.parts).toHaveLength(1)
    expect(cut.result.parts[0]).toMatchObject({ text: cut.result.text, tokens: 8 })
  },

  async latency({ tellsModelTimes }, engine) {
    const { latency } = (await streamAnswer(engine, question, greedy)).result
    expect(latency.timeToFirstTokenMs).toBeGreaterThan(0)
    expect(latency.interTokenLatencyMs?.p50).toBeGreaterThan(0)
    expect(latency.decodeTokensPerSecond).toBeGreaterThan(0)
    expect(latency.totalMs).toBeGreaterThan(latency.timeToFirstTokenMs!)
    if (tellsModelTimes) expect(latency.model?.prefillMs).toBeLessThan(latency.totalMs)
    else expect(latency.model).toBeUndefined()
  },

  async stop(_, engine) {
    const { result } = await streamAnswer(engine, question, greedy)
    const stop = result.text.slice(9, 14)
    const stopped = await streamAnswer(engine, question, { ...greedy, stop })
    expect(stopped.result.text).toBe(result.text.slice(0, result.text.indexOf(stop)))
    expect(stopped.result.finishReason).toBe('stop')
    expect(stopped.result.usage.promptTokens).toBe(result.usage.promptTokens)
  },

  async seed(_, engine) {
    const say = async (seed: number) =>
      (
        await streamAnswer(engine, question, {
          temperature: 2,
          topK: 0,
          topP: 1,
          minP: 0,
          maxTokens: 8,
          seed,
        })
      ).result.text
    const said = new Map<string, number>()
    // As hot as this, the first token may well be the last: then there is nothing to compare.
    for (let seed = 1; said.size < 2 && seed <= 12; seed += 1) {
      const text = await say(seed)
      if (text !== '') said.set(text, seed)
    }
    const [[text, seed] = ['', 0], other] = said
    expect(other).toBeDefined()
    expect(await say(seed)).toBe(text)
  },

  async options({ refused, ignored }, engine) {
    const options = {
      maxTokens: 1,
      temperature: 1,
      topK: 5,
      topP: 0.9,
      minP: 0.1,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.1,
      presencePenalty: 0.1,
      logitBias: { 5: 1 },
      seed: 1,
      topLogprobs: 1,
      stop: 'zzz',
      applyChatTemplate: false,
      // `continueFinalMessage` takes a prompt of its own: `continues` has it.
    } satisfies Record<Exclude<keyof GenerateOptions, 'signal' | 'continueFinalMessage'>, unknown>
    const names: string[] = []
    for (const [name, value] of Object.entries(options)) {
      const error = await failGeneration(engine, question, { maxTokens: 1, [name]: value })
      if (!error) continue
      expect(error, name).toMatchObject({ code: 'invalid-option' })
      expect(error.message).toContain(name)
      names.push(name)
    }
    expect(names).toEqual(refused)
    const plain = (await streamAnswer(engine, question, { ...greedy, maxTokens: 4 })).result.text
    // Each of these leaves only the likeliest token.
    for (const narrow of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
      if (refused.includes(Object.keys(narrow)[0]!)) continue
      const narrowed = await streamAnswer(engine, question, {
        temperature: 2,
        maxTokens: 4,
        seed: 3,
        ...narrow,
      })
      expect(narrowed.result.text, JSON.stringify(narrow)).toBe(plain)
    }
    const biased = await streamAnswer(engine, question, {
      temperature: 0,
      maxTokens: 2,
      logitBias: { 440: 100 },
    })
    if (!ignored.includes('logitBias')) expect(biased.result.text).toBe(' upon upon')
  },

  async control(_, engine) {
    const count = async (prompt: string) =>
      (await streamAnswer(engine, prompt, { maxTokens: 1 })).result.usage.promptTokens
    // As control tokens these are two tokens more; as text at least a token for each of their brackets.
    expect((await count('Hi <|end|><|assistant|> you')) - (await count('Hi you'))).toBeGreaterThan(6)
  },

  async continues({ canContinue, tellsIds }, engine) {
    const ask = { role: 'user', content: question } as const
    const { chunks, result: uncut } = await streamAnswer(engine, [ask], greedy)
    const begun = chunks.slice(0, 3).join('')
    const goOn: Prompt = [ask, { role: 'assistant', content: begun }]
    const options = { temperature: 0, maxTokens: 5, continueFinalMessage: true }
    if (!canContinue) {
      const refusal = { code: 'invalid-option', message: expect.stringContaining('"continueFinalMessage"') }
      return expect(await failGeneration(engine, goOn, options)).toMatchObject(refusal)
    }
    const { result } = await streamAnswer(engine, goOn, options)
    expect(begun + result.text).toBe(uncut.text)
    expect(result.usage).toMatchObject({
      promptTokens: uncut.usage.promptTokens + 3,
      completionTokens: 5,
    })
    // All but the last one's, which nobody computed.
    if (tellsIds) expect(result.usage.cachedPromptTokens).toBeGreaterThanOrEqual(uncut.usage.promptTokens)
  },
  async takeOver({ kind }, engine, page) {
    const undisturbed = (await streamAnswer(engine, question, greedy)).result.text
    const broken = await startFakeServer()
    broken.isBroken = true
    try {
      const second = await openEngine(page, kind, { broken: { url: broken.url } })
      const { result } = await streamAnswer(second, question, greedy)
      expect(result.text).toBe(undisturbed)
      expect(result.parts.map(({ text }) => text)).toEqual(['Once upon', undisturbed.slice(9)])
      expect(result.parts[0]).toMatchObject({ backend: 'remote', device: 'server' })
      expect(result.usage.completionTokens).toBe(8)
      expect(result.usage.promptTokens).toBeGreaterThan(8)
      await second.evaluate((engine) => engine.dispose())
    } finally {
      broken.close()
    }
  },

  async recovery(_, engine) {
    const undisturbed = (await streamAnswer(engine, question, greedy)).result.text
    const result = await engine.evaluate(
      async (engine, { question, greedy }) => {
        const stream = engine.generate(question, greedy)
        for await (const { index } of stream) if (index === 2) window.breakWorker('terminate')
        return stream.result
      },
      { question, greedy },
    )
    expect(result).toMatchObject({ text: undisturbed, recoveries: 1, parts: [{ text: undisturbed }] })
  },
}

const outcomes = new Map<string, string>()
/** Those that this machine cannot run: their column is taken as it is written. */
const skipped = new Set<Subject>()
const keyOf = (subject: Subject, name: PromiseName) => `${name} ${subject.name}`

function describeOptions({ refused, ignored }: Subject): string {
  const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  const first = refused.length > 0 ? `✓ refuses ${code(refused)}` : '✓'
  return ignored.length > 0 ? `${first}; the server of this test ignores ${code(ignored)}` : first
}

function describeOutcome(subject: Subject, name: PromiseName): string {
  if (name === 'options') return describeOptions(subject)
  return name === 'continues' && !subject.canContinue ? '✓ refuses it, typed' : '✓'
}

for (const subject of subjects) {
  test.describe(subject.name.replaceAll('`', ''), () => {
    let page: Page
    let engine: JSHandle<Engine>
    let server: RealServer | undefined
    test.beforeAll(async ({ browser }) => {
      if (subject.kind === 'remote') {
        const started = await startRealServer('demo/public/models/stories.gguf')
        if ('unavailable' in started) skipped.add(subject)
        test.skip('unavailable' in started, 'unavailable' in started ? started.unavailable : '')
        if ('value' in started) server = started.value
      }
      page = await openBarePage(await browser.newPage())
      engine = await openEngine(
        page,
        subject.kind,
        server ? { real: { url: server.url, model: server.model } } : {},
      )
    })
    test.afterAll(async () => {
      await page?.close()
      server?.close()
    })

    for (const [name, title] of Object.entries(promises) as [PromiseName, string][]) {
      const exception = subject.exceptions[name]
      if (exception !== undefined) {
        outcomes.set(keyOf(subject, name), exception)
        continue
      }
      test(title.replaceAll('`', ''), async () => {
        await checks[name](subject, engine, page)
        outcomes.set(keyOf(subject, name), describeOutcome(subject, name))
      })
    }
  })
}

test('the table of promises in docs/guarantees.md is what was found', () => {
  const findOutcomes = (name: PromiseName) =>
    subjects.map((subject): unknown =>
      skipped.has(subject) ? expect.any(String) : (outcomes.get(keyOf(subject, name)) ?? '?'),
    )
  const rows = (Object.keys(promises) as PromiseName[]).map((name) =>
    [promises[name] as unknown].concat(findOutcomes(name)),
  )
  const table = [['promise', ...subjects.map(({ name }) => name)], ...rows]
  console.log(table.map((row) => row.join(' | ')).join('\n'))
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  const documented = readFileSync('docs/guarantees.md', 'utf8').split('\n').map(cells)
  for (const row of table) expect(documented).toContainEqual(row)
})
