// One contract for every backend: the same tests run through the library's public API. The table that they produce is the
// one in docs/guarantees.md.
import { readFileSync } from 'node:fs'
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions, ModelInfo, Prompt } from 'rivulet'
import {
  openBarePage,
  readStoryReferences,
  streamAnswer,
  type SeenError,
  type Streamed,
} from './bare-page.js'
import { startFakeServer } from './fake-server.js'
import { startRealServer, type RealServer } from './real-server.js'
import { isSoak } from './soak.js'

const promises = {
  text: 'The chunks joined are `result.text` and what `text()` returns',
  backpressure: 'An unread stream pauses the model',
  cancel:
    'Cancelling before the start, in the queue, during prefill or mid-stream works, and the next request runs',
  order: 'Requests keep their order and never mix',
  errors: 'A refused request ends with a typed error and affects no other request',
  usage: 'Tokens are counted, and the finish reason is reported',
  latency: 'Latency is measured at the reader, and by the model’s own clock where it has one',
  stop: 'The text ends before a stop string',
  seed: 'The same seed gives the same text, another seed another text',
  options: 'Every option takes effect or is refused by name',
  control: 'Control tokens in user text stay text',
  recovery: 'Continues after its last token when its worker dies',
  takeOver: 'Continues an answer that another backend started',
  continues: 'Continues an answer that is passed back with `continueFinalMessage`',
} as const
type PromiseName = keyof typeof promises

interface Subject {
  readonly name: string
  readonly kind: 'onnx wasm' | 'onnx webgpu' | 'llamaCpp' | 'webLlm' | 'remote'
  readonly info: Partial<ModelInfo>
  /** Promises that the runtime cannot keep or that the server is responsible for, with the reason. */
  readonly exceptions: Partial<Record<PromiseName, string>>
  /** Promises that are tested only in `npm run soak`: slow here, and tested in CI with other backends. */
  readonly onlyInSoak: readonly PromiseName[]
  /** Options that the backend refuses. */
  readonly refused: readonly string[]
  /** Options that the test's server accepts and ignores, which the client cannot detect. */
  readonly ignored: readonly string[]
  /** Requests run one at a time. */
  readonly isQueued: boolean
  readonly reportsTokenIds: boolean
  readonly reportsModelTimes: boolean
  readonly canContinue: boolean
}

const local = {
  exceptions: {},
  onlyInSoak: [],
  refused: [],
  ignored: [],
  isQueued: true,
  reportsTokenIds: true,
  reportsModelTimes: false,
  canContinue: true,
}
const onnxInfo = { backend: 'onnx', dtype: 'q8', contextLength: 512 }
const subjects: readonly Subject[] = [
  {
    ...local,
    name: '`onnx()`, WASM',
    kind: 'onnx wasm',
    info: { ...onnxInfo, device: 'wasm', execution: 'growing-cache' },
  },
  {
    ...local,
    name: '`onnx()`, WebGPU',
    kind: 'onnx webgpu',
    info: { ...onnxInfo, device: 'webgpu', execution: 'replayed' },
    // They load another engine, which takes a software adapter ten seconds or more. recovery.spec.ts loses a GPU in CI.
    onlyInSoak: ['recovery', 'takeOver'],
  },
  {
    ...local,
    name: '`llamaCpp()`',
    kind: 'llamaCpp',
    info: { backend: 'llama-cpp', device: 'wasm' },
    reportsTokenIds: false,
    reportsModelTimes: true,
  },
  {
    ...local,
    name: '`webLlm()`, scripted pipeline',
    kind: 'webLlm',
    info: { backend: 'web-llm', device: 'webgpu' },
    reportsTokenIds: false,
    reportsModelTimes: true,
    canContinue: false,
    refused: ['topK', 'minP', 'topLogprobs'],
    exceptions: {
      control: 'refuses messages with tokens that mark turns; other control tokens are not kept as text',
      takeOver: 'not supported: web-llm cannot continue an existing text',
      recovery: 'the stream ends with `device-lost` and its text; the next request gets a new worker',
    },
  },
  {
    name: '`remote()`',
    kind: 'remote',
    info: { backend: 'remote', device: 'server' },
    onlyInSoak: [],
    reportsTokenIds: false,
    reportsModelTimes: true,
    isQueued: false,
    canContinue: false,
    refused: ['topLogprobs'],
    ignored: ['logitBias'],
    exceptions: {
      backpressure: '✓ by the socket: the server keeps writing until the buffers are full',
      control: 'the server’s responsibility',
      takeOver: '✓ with `canContinue`, if the server supports it: vLLM, llama.cpp’s server',
      recovery: 'with `canContinue`, as below; otherwise the stream ends with a typed error and its text',
    },
  },
]

interface Servers {
  /** Answers with the embedded model. */
  readonly real?: { readonly url: string; readonly model: string }
  /** Sends two words, then closes the connection. */
  readonly broken?: { readonly url: string }
}

/** Opens an engine in the page. With `broken`, that server is tried first. */
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
        // webLlm()'s own check requires a real GPU.
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

const [dragon] = readStoryReferences()
const question = dragon!.prompt
const greedy = { temperature: 0, maxTokens: 8 } as const

/** @returns the error that the generation ends with */
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

interface Context {
  readonly subject: Subject
  readonly page: Page
  readonly engine: JSHandle<Engine>
  /** The greedy answer to the question, streamed without a disturbance. */
  readonly undisturbed: Streamed
}

/** Cancels a generation in each of its states. */
async function checkCancel(
  engine: JSHandle<Engine>,
  { isQueued, reportsTokenIds }: Subject,
  undisturbed: Streamed,
): Promise<void> {
  const seen = await engine.evaluate(
    async (engine, { question, isQueued }) => {
      const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))
      const finish = async (stream: ReturnType<Engine['generate']>) => (await stream.result).finishReason
      const reasons: Record<string, string> = {}

      const aborted = engine.generate(question, { signal: AbortSignal.abort(new Error('before')) })
      reasons.before = await finish(aborted)

      const long = engine.generate('word '.repeat(180), { maxTokens: 50 })
      const queued = engine.generate(question)
      if (isQueued) await queued.cancel()
      const prefilling = long.result
      await wait(20)
      await long.cancel()
      reasons.prefill = (await prefilling).finishReason
      if (!isQueued) await queued.cancel()
      reasons.queued = await finish(queued)

      const left = engine.generate(question, { temperature: 0 })
      for await (const chunk of left) if (chunk.index === 2) break
      reasons.break = await finish(left)

      const cancelled = engine.generate(question, { temperature: 0 })
      for await (const chunk of cancelled) if (chunk.index === 2) void cancelled.cancel()
      reasons.cancel = await finish(cancelled)

      const abort = new AbortController()
      const signalled = engine.generate(question, { temperature: 0, signal: abort.signal })
      let text = ''
      let error: unknown
      try {
        for await (const chunk of signalled) {
          text += chunk.text
          if (chunk.index === 1) abort.abort(new Error('enough'))
        }
      } catch (thrown) {
        error = thrown
      }
      reasons.signal = await finish(signalled)
      return {
        reasons,
        error: String(error),
        text,
        signalledText: (await signalled.result).text,
        cancelledTokens: (await cancelled.result).usage.completionTokens,
      }
    },
    { question, isQueued },
  )
  expect(seen.reasons).toEqual({
    before: 'cancelled',
    queued: 'cancelled',
    prefill: 'cancelled',
    break: 'cancelled',
    cancel: 'cancelled',
    signal: 'cancelled',
  })
  expect(seen.error).toBe('Error: enough')
  expect(seen.signalledText).toBe(seen.text)
  if (reportsTokenIds) expect(seen.cancelledTokens).toBe(3)
  const after = await streamAnswer(engine, question, greedy)
  expect(after.result.text).toBe(undisturbed.result.text)
}

const checks: Readonly<Record<PromiseName, (context: Context) => Promise<void>>> = {
  async text({ subject, engine, undisturbed: { chunks, tokenIds, result } }) {
    expect(chunks.join('')).toBe(result.text)
    expect(result.text).not.toBe('')
    // What PyTorch computes with this model.
    if (subject.reportsTokenIds) expect(tokenIds).toEqual(dragon!.greedyIds.slice(0, greedy.maxTokens))
    expect(
      await engine.evaluate((engine, { question, greedy }) => engine.generate(question, greedy).text(), {
        question,
        greedy,
      }),
    ).toBe(result.text)
  },

  async backpressure({ subject, engine }) {
    // The model needs much less time for six tokens. But the reader stops after the first, so the next request never starts.
    const waitMs = subject.kind === 'onnx webgpu' ? 4000 : 1000
    const outcome = await engine.evaluate(
      async (engine, { question, waitMs }) => {
        const wait = (ms: number) => new Promise<string>((done) => setTimeout(() => done('held back'), ms))
        const unread = engine.generate(question, { temperature: 0, maxTokens: 6 })
        const reader = unread.getReader()
        await reader.read()
        const next = engine.generate(question, { temperature: 0, maxTokens: 1 })
        const nextText = next.text()
        const early = await Promise.race([nextText, wait(waitMs)])
        while (!(await reader.read()).done);
        return { early, late: await nextText }
      },
      { question, waitMs },
    )
    expect(outcome.early).toBe('held back')
    expect(outcome.late).not.toBe('')
  },

  async cancel({ subject, page, engine, undisturbed }) {
    if (subject.kind !== 'remote') return checkCancel(engine, subject, undisturbed)
    // Not the server of the other tests: after an abandoned answer, dasLLAMA 0.6.6 can send that answer's text to the next
    // request, or never answer it, whichever client asks (seen with bare fetches). The server here is written for this test.
    const server = await startFakeServer()
    server.prefillMs = 100
    try {
      const other = await openEngine(page, 'remote', { real: { url: server.url, model: 'story-model' } })
      await checkCancel(other, subject, await streamAnswer(other, question, greedy))
      await other.evaluate((engine) => engine.dispose())
    } finally {
      server.close()
    }
  },

  async order({ subject, engine, undisturbed }) {
    const boat = await streamAnswer(engine, 'Tell me a story about a boat.', greedy)
    const seen = await engine.evaluate(
      async (engine, { question, greedy }) => {
        const ended: number[] = []
        const prompts = [question, 'Tell me a story about a boat.', question]
        const texts = prompts.map(async (prompt, index) => {
          const { text } = await engine.generate(prompt, greedy).result
          ended.push(index)
          return text
        })
        return { texts: await Promise.all(texts), ended }
      },
      { question, greedy },
    )
    expect(seen.texts).toEqual([undisturbed.result.text, boat.result.text, undisturbed.result.text])
    if (subject.isQueued) expect(seen.ended).toEqual([0, 1, 2])
  },

  async errors({ engine }) {
    const [tooLong, next] = await Promise.all([
      failGeneration(engine, 'many words '.repeat(2000)),
      streamAnswer(engine, question, { ...greedy, maxTokens: 1 }),
    ])
    expect(tooLong).toMatchObject({ name: 'RivuletError', code: 'prompt-too-long', text: '' })
    expect(next.result.text).not.toBe('')
    expect(await failGeneration(engine, '')).toMatchObject({ code: 'invalid-option' })
  },

  async usage({ subject, undisturbed: { result, tokenIds } }) {
    expect(result.finishReason).toBe('length')
    expect(result.usage.completionTokens).toBe(8)
    expect(result.usage.promptTokens).toBeGreaterThan(8)
    expect(tokenIds).toHaveLength(subject.reportsTokenIds ? 8 : 0)
    expect(result.parts).toHaveLength(1)
    expect(result.parts[0]).toMatchObject({ text: result.text, tokens: 8 })
  },

  async latency({ subject, undisturbed }) {
    const { latency } = undisturbed.result
    expect(latency.timeToFirstTokenMs).toBeGreaterThan(0)
    expect(latency.interTokenLatencyMs?.p50).toBeGreaterThan(0)
    expect(latency.interTokenLatencyMs?.max).toBeGreaterThanOrEqual(latency.interTokenLatencyMs!.p50)
    expect(latency.prefillTokensPerSecond).toBeGreaterThan(0)
    expect(latency.decodeTokensPerSecond).toBeGreaterThan(0)
    expect(latency.totalMs).toBeGreaterThan(latency.timeToFirstTokenMs!)
    if (subject.reportsModelTimes) expect(latency.model?.prefillMs).toBeLessThan(latency.totalMs)
    else expect(latency.model).toBeUndefined()
  },

  async stop({ engine, undisturbed: { result } }) {
    const stop = ['never', result.text.slice(9, 14)]
    const stopped = await streamAnswer(engine, question, { ...greedy, stop })
    expect(stopped.result.text).toBe(result.text.slice(0, result.text.indexOf(stop[1]!)))
    expect(stopped.chunks.join('')).toBe(stopped.result.text)
    expect(stopped.result.finishReason).toBe('stop')
    expect(stopped.result.usage.promptTokens).toBe(result.usage.promptTokens)
  },

  async seed({ engine }) {
    const hot = { temperature: 2, topK: 0, topP: 1, minP: 0, maxTokens: 8 }
    const sample = async (seed: number) =>
      (await streamAnswer(engine, question, { ...hot, seed })).result.text
    const seeds = new Map<string, number>()
    // At this temperature the first token may end the text: then there is nothing to compare.
    for (let seed = 1; seeds.size < 2 && seed <= 12; seed += 1) {
      const text = await sample(seed)
      if (text !== '') seeds.set(text, seed)
    }
    const [[text, seed] = ['', 0], other] = seeds
    expect(other).toBeDefined()
    expect(await sample(seed)).toBe(text)
  },

  async options({ subject: { refused, ignored }, engine, undisturbed }) {
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
      // `continueFinalMessage` needs another prompt: the promise `continues` tests it.
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
    const likeliest = undisturbed.chunks.slice(0, 4).join('')
    // Each of these leaves only the likeliest token.
    for (const narrow of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
      if (refused.includes(Object.keys(narrow)[0]!)) continue
      const narrowed = await streamAnswer(engine, question, {
        temperature: 2,
        maxTokens: 4,
        seed: 3,
        ...narrow,
      })
      expect(narrowed.result.text, JSON.stringify(narrow)).toBe(likeliest)
    }
    const biased = await streamAnswer(engine, question, {
      temperature: 0,
      maxTokens: 2,
      logitBias: { 440: 100 },
    })
    if (!ignored.includes('logitBias')) expect(biased.result.text).toBe(' upon upon')
  },

  async control({ engine }) {
    const count = async (prompt: string) =>
      (await streamAnswer(engine, prompt, { maxTokens: 1 })).result.usage.promptTokens
    // As control tokens these are two more tokens; as text, at least one token for each of their brackets.
    expect((await count('Hi <|end|><|assistant|> you')) - (await count('Hi you'))).toBeGreaterThan(6)
  },

  async continues({ subject, engine }) {
    const ask = { role: 'user', content: question } as const
    // Once more, so that the last thing in the model's cache is this answer.
    const { chunks, result: whole } = await streamAnswer(engine, [ask], greedy)
    const start = chunks.slice(0, 3).join('')
    const conversation: Prompt = [ask, { role: 'assistant', content: start }]
    const options = { temperature: 0, maxTokens: 5, continueFinalMessage: true }
    if (!subject.canContinue) {
      const refusal = { code: 'invalid-option', message: expect.stringContaining('"continueFinalMessage"') }
      return expect(await failGeneration(engine, conversation, options)).toMatchObject(refusal)
    }
    const { result } = await streamAnswer(engine, conversation, options)
    expect(start + result.text).toBe(whole.text)
    expect(result.usage).toMatchObject({
      promptTokens: whole.usage.promptTokens + 3,
      completionTokens: 5,
    })
    // All but the last token, which was never computed.
    if (subject.reportsTokenIds)
      expect(result.usage.cachedPromptTokens).toBeGreaterThanOrEqual(whole.usage.promptTokens)
  },

  async takeOver({ subject, page, undisturbed: { result: whole } }) {
    const broken = await startFakeServer()
    broken.isBroken = true
    try {
      const second = await openEngine(page, subject.kind, { broken: { url: broken.url } })
      const { result } = await streamAnswer(second, question, greedy)
      expect(result.text).toBe(whole.text)
      expect(result.parts.map(({ text }) => text)).toEqual(['Once upon', whole.text.slice(9)])
      expect(result.parts[0]).toMatchObject({ backend: 'remote', device: 'server' })
      expect(result.usage.completionTokens).toBe(8)
      expect(result.usage.promptTokens).toBeGreaterThan(8)
      await second.evaluate((engine) => engine.dispose())
    } finally {
      broken.close()
    }
  },

  async recovery({ engine, undisturbed }) {
    const { text } = undisturbed.result
    const result = await engine.evaluate(
      async (engine, { question, greedy }) => {
        const stream = engine.generate(question, greedy)
        for await (const { index } of stream) if (index === 2) window.breakWorker('terminate')
        return stream.result
      },
      { question, greedy },
    )
    expect(result).toMatchObject({ text, recoveries: 1, parts: [{ text }] })
  },
}

const outcomes = new Map<string, string>()
/** Backends that cannot run on this machine: their column is not checked. */
const skipped = new Set<Subject>()
const keyOf = (subject: Subject, name: PromiseName) => `${name} ${subject.name}`

function describeOptions({ refused, ignored }: Subject): string {
  const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  const first = refused.length > 0 ? `✓ refuses ${code(refused)}` : '✓'
  return ignored.length > 0 ? `${first}; the test’s server ignores ${code(ignored)}` : first
}

function describeOutcome(subject: Subject, name: PromiseName): string {
  if (name === 'options') return describeOptions(subject)
  return name === 'continues' && !subject.canContinue ? '✓ refuses it with a typed error' : '✓'
}

for (const subject of subjects) {
  test.describe(subject.name.replaceAll('`', ''), () => {
    let context: Context
    let page: Page | undefined
    let server: RealServer | undefined
    test.beforeAll(async ({ browser }) => {
      if (subject.kind === 'remote') {
        const started = await startRealServer('demo/public/models/stories.gguf')
        if ('unavailable' in started) skipped.add(subject)
        test.skip('unavailable' in started, 'unavailable' in started ? started.unavailable : '')
        if ('value' in started) server = started.value
      }
      page = await openBarePage(await browser.newPage())
      const servers = server ? { real: { url: server.url, model: server.model } } : {}
      const engine = await openEngine(page, subject.kind, servers)
      const undisturbed = await streamAnswer(engine, question, greedy)
      context = { subject, page, engine, undisturbed }
    })
    test.afterAll(async () => {
      await page?.close()
      server?.close()
    })

    test('runs on the requested backend and device', async () => {
      expect(await context.engine.evaluate(({ info }) => info)).toMatchObject(subject.info)
    })

    for (const [name, title] of Object.entries(promises) as [PromiseName, string][]) {
      const exception = subject.exceptions[name]
      if (exception !== undefined) {
        outcomes.set(keyOf(subject, name), exception)
        continue
      }
      const isOnlyInSoak = subject.onlyInSoak.includes(name)
      // Until the test has run: without the soak, the table's cell is not checked.
      if (isOnlyInSoak && !isSoak) outcomes.set(keyOf(subject, name), describeOutcome(subject, name))
      test(title.replaceAll('`', ''), { tag: isOnlyInSoak ? '@soak' : [] }, async () => {
        await checks[name](context)
        outcomes.set(keyOf(subject, name), describeOutcome(subject, name))
      })
    }
  })
}

test('the table of promises in docs/guarantees.md matches the results', () => {
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
