// One contract for every backend (promises.ts): the same tests run through the library's public API.
import { expect, type JSHandle } from '@playwright/test'
import type { ChatMessage, Engine, GenerateOptions, Prompt, PromptOptions } from 'rivulet'
import { optionNames } from '../lib/contract/option-table.js'
import {
  openBarePage,
  readStoryReferences,
  streamAnswer,
  type SeenError,
  type Streamed,
} from './bare-page.js'
import type { DrivenPage } from './browsers/driver.js'
import { explainUntestable } from './browsers/features.js'
import { test } from './browsers/test.js'
import { startFakeServer } from './fake-server.js'
import { hermesTemplate, thinkingTemplate } from './hermes-template.js'
import { startLlamaEngine, startSocketBridge } from './llama-bridges.js'
import {
  concurrentSubjects,
  listRefused,
  promises,
  sharedSubject,
  subjects,
  transports,
  type PromiseName,
  type Subject,
} from './promises.js'
import { isSoak } from './soak.js'
import { startRealServer, type RealServer } from './real-server.js'

interface Servers {
  /** Answers with the embedded model. `hasTools`: it takes tools, and its list of models does not show that. */
  readonly real?: { readonly url: string; readonly model: string; readonly hasTools?: boolean }
  /** Sends two words, then closes the connection. */
  readonly broken?: { readonly url: string }
}

/** Opens an engine in the page. With `broken`, that server is tried first. */
function openEngine(
  page: DrivenPage,
  { kind, host = 'tab', concurrency }: Pick<Subject, 'kind' | 'host' | 'concurrency'>,
  { real, broken }: Servers,
  chatTemplate?: string,
): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    async ({ kind, host, concurrency: maxConcurrentGenerations, real, broken, chatTemplate }) => {
      const { createEngine, grpcWeb, onnx, llamaCpp, llamaCppCompat, promptApi, remote, responses, webLlm } =
        window.rivulet
      const worker = window.createFaultyWorker
      const model = './models/stories/'
      const create = {
        'onnx wasm': () => onnx({ device: 'wasm', worker, model, chatTemplate, maxConcurrentGenerations }),
        'onnx webgpu': () =>
          onnx({ device: 'webgpu', worker, model, chatTemplate, maxConcurrentGenerations }),
        llamaCpp: () =>
          llamaCpp({
            threads: 1,
            compat: llamaCppCompat,
            worker: window.createLlamaCppWorker,
            model: './models/stories.gguf',
            chatTemplate,
            maxConcurrentGenerations,
          }),
        // webLlm()'s own check requires a real GPU.
        webLlm: () => ({
          ...webLlm({ model: 'Story-1B-q4f16_1-MLC', worker: window.createWebLlmWorker }),
          checkAvailability: () => Promise.resolve({ isAvailable: true } as const),
        }),
        remote: () =>
          remote({
            baseURL: real!.url,
            model: real!.model,
            ...(real!.hasTools && { supports: { tools: true } }),
          }),
        responses: () => remote({ baseURL: real!.url, model: real!.model, transport: responses() }),
        'responses socket': () =>
          remote({ baseURL: real!.url, model: real!.model, transport: responses({ webSocket: true }) }),
        grpcWeb: () =>
          remote({
            baseURL: real!.url,
            model: real!.model,
            transport: grpcWeb({ tokenizer: model }),
            worker: window.createGrpcWebWorker,
          }),
        promptApi: () => {
          window.installLanguageModel()
          return promptApi({ allowDownload: true, worker: window.createPromptApiWorker })
        },
      }
      const first = broken ? [remote({ baseURL: broken.url, model: 'story-model' })] : []
      const engine = await createEngine({
        backend: [...first, create[kind]()],
        // An engine that a test disposed leaves no worker behind, which `breakWorker` would find.
        host: host === 'shared' ? { kind: host, lingerMs: 0 } : host,
      })
      if (kind !== 'promptApi') return engine
      // The browser's model of these tests always takes the likeliest token, which `promptApi()` cannot demand.
      const generate: Engine['generate'] = (prompt, { temperature, ...options } = {}) =>
        engine.generate(prompt, { ...options, ...(temperature !== 0 && { temperature }) } as typeof options)
      return Object.setPrototypeOf({ generate }, engine) as Engine
    },
    { kind, host, concurrency, real, broken, chatTemplate },
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
  readonly page: DrivenPage
  /** Origins whose requests are expected. */
  readonly namedOrigins: Set<string>
  readonly servers: Servers
  readonly engine: JSHandle<Engine>
  /** The greedy answer to the question, streamed without a disturbance. */
  readonly undisturbed: Streamed
}

/** Continues a message in a form: the form and the value include the start of the message. Or the request is refused. */
async function checkContinuedForm(engine: JSHandle<Engine>, options: GenerateOptions): Promise<void> {
  const { supports } = await engine.evaluate(({ info }) => info)
  const demand = { ...options, responseFormat: { jsonSchema }, continueFinalMessage: true }
  const continueFrom = (content: string): Prompt => [
    { role: 'user', content: question },
    { role: 'assistant', content },
  ]
  const refusal = { code: 'invalid-option', message: expect.stringContaining('"continueFinalMessage"') }
  const start = '{"animal": "d'
  if (!supports.continuation)
    return expect(await failGeneration(engine, continueFrom(start), demand)).toMatchObject(refusal)
  const { result } = await streamAnswer(engine, continueFrom(start), demand)
  expect(result.text).not.toBe('')
  expectAnimal(result.value)
  expect(JSON.parse(start + result.text)).toEqual(result.value)
  expect(await failGeneration(engine, continueFrom('Once'), demand)).toMatchObject({
    code: 'invalid-option',
    message: expect.stringContaining('message to continue'),
  })
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
  const after = await streamAnswer(engine, question, { ...greedy, maxTokens: 4 })
  expect(after.result.text).toBe(undisturbed.chunks.slice(0, 4).join(''))
}

/** What the answers and the calls of the tests have to be. */
const jsonSchema = {
  type: 'object',
  properties: {
    animal: { enum: ['cat', 'dog', 'dragon'] },
    age: { type: 'integer', minimum: 1, maximum: 9 },
  },
  required: ['animal', 'age'],
  additionalProperties: false,
} as const

/** Options that change which tokens are chosen, all at once. */
const mixedSampling = {
  temperature: 1.2,
  seed: 2,
  topK: 40,
  topP: 0.9,
  minP: 0.01,
  repetitionPenalty: 1.3,
  frequencyPenalty: 0.5,
  logitBias: { 5: 3 },
} as const

function expectAnimal(value: unknown): void {
  expect(value).toEqual({ animal: expect.stringMatching(/^(cat|dog|dragon)$/), age: expect.any(Number) })
  expect((value as { age: number }).age % 10).toBe((value as { age: number }).age)
}

/**
 * Opens an engine whose model has tools and thoughts: the embedded model with another chat template; for `remote()` on
 * llama.cpp's server.
 */
async function withChannels(
  { subject, page, namedOrigins, engine }: Context,
  check: (engine: JSHandle<Engine>) => Promise<void>,
  chatTemplate = thinkingTemplate,
): Promise<void> {
  if (subject.kind === 'webLlm') return check(engine)
  let servers: Servers = {}
  let close = () => {}
  if (subject.kind === 'remote') {
    const started = await startRealServer('llama.cpp', 'demo/public/models/stories.gguf', chatTemplate)
    test.skip('unavailable' in started, 'unavailable' in started ? started.unavailable : '')
    if ('unavailable' in started) return
    const { url, model } = started.value
    servers = { real: { url, model } }
    namedOrigins.add(new URL(url).origin)
    close = started.value.close
  }
  try {
    const other = await openEngine(page, subject, servers, chatTemplate)
    await check(other)
    await other.evaluate((engine) => engine.dispose())
  } finally {
    close()
  }
}

/** Demands a call of the only tool. */
async function checkCall(engine: JSHandle<Engine>, more: GenerateOptions = {}): Promise<void> {
  const options = {
    ...more,
    temperature: 0,
    maxTokens: 100,
    tools: [{ name: 'tell', description: 'Tells a story.', parameters: jsonSchema }],
    toolChoice: 'required',
    parallelToolCalls: false,
  } as const
  const seen = await engine.evaluate(
    async (engine, { question, options }) => {
      const stream = engine.generate(question, options)
      let streamed = ''
      for await (const { toolCalls = [] } of stream) {
        for (const { argumentsDelta } of toolCalls) streamed += argumentsDelta
      }
      return { streamed, result: await stream.result }
    },
    { question, options },
  )
  const { text, finishReason, toolCalls } = seen.result
  expect({ text, finishReason }).toEqual({ text: '', finishReason: 'tool-calls' })
  expect(toolCalls).toEqual([{ id: expect.any(String), name: 'tell', arguments: seen.streamed }])
  expectAnimal(JSON.parse(seen.streamed))
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
    // The model needs much less time for six tokens. But the readers stop after one, so the next request does not start.
    const { kind, concurrency = 1 } = subject
    const waitMs = kind === 'onnx webgpu' ? 4000 : 1000
    const outcome = await engine.evaluate(
      async (engine, { question, waitMs, concurrency }) => {
        const wait = (ms: number) => new Promise<string>((done) => setTimeout(() => done('held back'), ms))
        const options = { temperature: 0, maxTokens: 6 }
        const unread = Array.from({ length: concurrency }, () =>
          engine.generate(question, options).getReader(),
        )
        for (const reader of unread) await reader.read()
        const next = engine.generate(question, { temperature: 0, maxTokens: 1 })
        const nextText = next.text()
        const early = await Promise.race([nextText, wait(waitMs)])
        for (const reader of unread) while (!(await reader.read()).done);
        return { early, late: await nextText }
      },
      { question, waitMs, concurrency },
    )
    expect(outcome.early).toBe('held back')
    expect(outcome.late).not.toBe('')
  },

  async cancel({ subject, page, namedOrigins, engine, undisturbed }) {
    if (subject.kind !== 'remote') return checkCancel(engine, subject, undisturbed)
    // Not the server of the other tests: after an abandoned answer, dasLLAMA 0.6.6 can send that answer's text to the
    // next request, or never answer it, whichever client asks (seen with bare fetches). So the test has its own server.
    const server = await startFakeServer()
    server.prefillMs = 100
    namedOrigins.add(new URL(server.url).origin)
    try {
      const other = await openEngine(
        page,
        { kind: 'remote' },
        { real: { url: server.url, model: 'story-model' } },
      )
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

  async usage({ subject, engine, undisturbed: { result, tokenIds } }) {
    expect(result.finishReason).toBe('length')
    expect(result.usage.completionTokens).toBe(8)
    expect(result.usage.promptTokens).toBeGreaterThan(8)
    expect(tokenIds).toHaveLength(subject.reportsTokenIds ? 8 : 0)
    expect(result.parts).toHaveLength(1)
    expect(result.parts[0]).toMatchObject({ text: result.text, tokens: 8 })
    // Longer than a chunk of the prefill.
    const long = await streamAnswer(engine, 'The dragon was happy. '.repeat(30), { ...greedy, maxTokens: 2 })
    expect(long.result.usage).toMatchObject({ completionTokens: 2 })
    expect(long.result.usage.promptTokens).toBeGreaterThan(128)
  },

  async counts({ subject, engine, undisturbed }) {
    const count = (prompt: Prompt, options: PromptOptions = {}) =>
      engine.evaluate((engine, { prompt, options }) => engine.countTokens(prompt, options), {
        prompt,
        options,
      })
    if (!subject.canCount) {
      return expect(count(question)).rejects.toThrow(`${subject.info.backend} cannot count tokens`)
    }
    const short = { temperature: 0, maxTokens: 1 }
    const { promptTokens } = undisturbed.result.usage
    expect(await count(question)).toBe(promptTokens)
    const conversation: Prompt = [
      { role: 'user', content: `${question} <|end|> 🐉` },
      { role: 'assistant', content: 'Once upon a time' },
    ]
    for (const options of [{}, { continueFinalMessage: true }]) {
      const { result } = await streamAnswer(engine, conversation, { ...short, ...options })
      expect(await count(conversation, options)).toBe(result.usage.promptTokens)
    }
    const { inputs } = await engine.evaluate(({ info }) => info.supports)
    if (inputs.includes('text')) {
      const raw = await streamAnswer(engine, question, { ...short, applyChatTemplate: false })
      expect(await count(question, { applyChatTemplate: false })).toBe(raw.result.usage.promptTokens)
    }
    // Longer than the context.
    const repeated = Array.from({ length: 200 }, () => conversation).flat()
    expect(await count(repeated)).toBeGreaterThan(4096)
    // A count leaves the KV cache as it is. A server and the browser's model have their own.
    if (subject.kind === 'grpcWeb' || subject.kind === 'promptApi') return
    const { result } = await streamAnswer(engine, question, short)
    await count('Something else.')
    const again = await streamAnswer(engine, question, short)
    expect(again.result.text).toBe(result.text)
    expect(again.result.usage.cachedPromptTokens).toBeGreaterThanOrEqual(promptTokens - 1)
  },

  async prefills({ subject, engine }) {
    const conversation: ChatMessage[] = [
      { role: 'user', content: 'The dragon was happy. '.repeat(20) },
      { role: 'assistant', content: 'Yes.' },
      { role: 'user', content: question },
    ]
    const prefill = () => engine.evaluate((engine, prompt) => engine.prefill(prompt), conversation)
    if (!subject.canPrefill) {
      return expect(prefill()).rejects.toThrow(`${subject.info.backend} cannot compute a prompt ahead`)
    }
    await prefill()
    const { result } = await streamAnswer(engine, conversation, { temperature: 0, maxTokens: 2 })
    const { promptTokens, cachedPromptTokens } = result.usage
    expect(promptTokens).toBeGreaterThan(100)
    expect(cachedPromptTokens).toBeGreaterThanOrEqual(promptTokens - 1)
    // A generation interrupts a prefill, and both end.
    const texts = await engine.evaluate(
      async (engine, { conversation, question }) => {
        const ahead = engine.prefill(conversation.slice(0, 1))
        const answer = engine.generate(question, { temperature: 0, maxTokens: 2 }).text()
        return [typeof (await ahead).isComplete, await answer]
      },
      { conversation, question },
    )
    expect(texts).toEqual(['boolean', expect.stringMatching(/./)])
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
    const hot = { temperature: 1.5, topK: 0, topP: 1, minP: 0, maxTokens: 12 }
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

  async options({ subject, engine, undisturbed }) {
    const { ignored } = subject
    const refused: readonly string[] = listRefused(subject)
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
      templateVariables: { enable_thinking: false },
      responseFormat: { jsonSchema: { type: 'object' } },
      tools: [{ name: 'clock' }],
      toolChoice: 'auto',
      parallelToolCalls: false,
      reasoning: 'off',
      applyChatTemplate: false,
      // `continueFinalMessage` needs another prompt: the promise `continues` tests it.
    } satisfies Record<Exclude<keyof GenerateOptions, 'signal' | 'continueFinalMessage'>, unknown>
    const names: string[] = []
    for (const [name, value] of Object.entries(options)) {
      const error = await failGeneration(engine, question, { maxTokens: 1, [name]: value })
      if (!error) continue
      expect(error, `${name}: ${error.message}`).toMatchObject({ code: 'invalid-option' })
      expect(error.message).toContain(name)
      names.push(name)
    }
    const { options: supported, inputs } = await engine.evaluate(({ info }) => info.supports)
    expect(names).toEqual(inputs.includes('text') ? refused : [...refused, 'applyChatTemplate'])
    expect([...supported, ...refused].toSorted()).toEqual(optionNames.toSorted())
    const likeliest = undisturbed.chunks.slice(0, 3).join('')
    // Each of these leaves only the likeliest token.
    for (const narrow of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
      if (refused.includes(Object.keys(narrow)[0]!)) continue
      const narrowed = await streamAnswer(engine, question, {
        temperature: 2,
        maxTokens: 3,
        ...(!refused.includes('seed') && { seed: 3 }),
        ...narrow,
      })
      expect(narrowed.result.text, JSON.stringify(narrow)).toBe(likeliest)
    }
    if ([...ignored, ...refused].includes('logitBias')) return
    const biased = await streamAnswer(engine, question, {
      temperature: 0,
      maxTokens: 2,
      logitBias: { 440: 100 },
    })
    expect(biased.result.text).toBe(' upon upon')
  },

  async structured(context) {
    const check = async (engine: JSHandle<Engine>) => {
      const { supports } = await engine.evaluate(({ info }) => info)
      const reasoning = supports.reasoning.includes('off') ? 'off' : undefined
      const options = { temperature: 0, maxTokens: 60, reasoning } as const
      const samplings = Object.entries(mixedSampling).filter(([name]) =>
        supports.options.includes(name as keyof typeof mixedSampling),
      )
      for (const sampling of [{}, Object.fromEntries(samplings)]) {
        const { chunks, result } = await streamAnswer(engine, question, {
          ...options,
          ...sampling,
          responseFormat: { jsonSchema },
        })
        expect(result.finishReason, result.text).toBe('stop')
        expectAnimal(result.value)
        expect(JSON.parse(chunks.join(''))).toEqual(result.value)
      }
      // A software adapter takes seconds for it, and the form is held in the worker, for each device in the same way.
      if (context.subject.kind !== 'onnx webgpu' || isSoak) await checkContinuedForm(engine, options)
      const unheld = { type: 'array', items: { type: 'string' }, contains: { const: 'a' } }
      const responseFormat = { jsonSchema: unheld }
      expect(await failGeneration(engine, question, { ...options, responseFormat })).toMatchObject({
        code: 'invalid-option',
        message: expect.stringMatching(/responseFormat.*contains/),
        text: '',
      })
    }
    // The server of the other tests is of unknown kind: the promise `options` tests that it refuses forms. With thoughts, llama.cpp's
    // server would get the schema, and allow any white space.
    await (context.subject.kind === 'remote'
      ? withChannels(context, check, hermesTemplate)
      : check(context.engine))
  },

  async tools(context) {
    const { subject, page, namedOrigins, engine } = context
    if (subject.kind === 'webLlm' || subject.kind === 'promptApi') {
      const { supports } = await engine.evaluate(({ info }) => info)
      expect(supports.options).not.toContain('tools')
      return expect(await failGeneration(engine, question, { tools: [{ name: 'tell' }] })).toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining('"tools"'),
      })
    }
    if (subject.kind !== 'remote')
      return withChannels(context, (other) => checkCall(other, { reasoning: 'off' }))
    // The embedded model cannot decide to call: llama.cpp's server lets it write text first, for as long as it likes.
    const server = await startFakeServer()
    namedOrigins.add(new URL(server.url).origin)
    try {
      const real = { url: server.url, model: 'story-model', hasTools: true }
      const other = await openEngine(page, { kind: 'remote' }, { real })
      await checkCall(other)
      await other.evaluate((engine) => engine.dispose())
    } finally {
      server.close()
    }
  },

  reasoning: (context) =>
    withChannels(context, async (engine) => {
      const { supports } = await engine.evaluate(({ info }) => info)
      expect(supports.reasoning).toContain('off')
      const ask = async (reasoning?: GenerateOptions['reasoning']) =>
        (await streamAnswer(engine, `Think. ${question}`, { temperature: 0, maxTokens: 16, reasoning }))
          .result
      const off = await ask('off')
      expect(off).toMatchObject({ reasoning: '', latency: { firstTokenChannel: 'text' } })
      expect(off.text).not.toBe('')
      // web-llm's model decides itself.
      const on = await ask(context.subject.kind === 'webLlm' ? undefined : 'on')
      expect(on.latency.firstTokenChannel).toBe('reasoning')
      expect(on.reasoning).not.toBe('')
      expect(on.usage.reasoningTokens).toBeGreaterThan(3)
      expect(on.text + on.reasoning).not.toMatch(/<\/?think>/)
      for (const [demand, reasoning] of [
        ['on', 'on'],
        ['budget', { maxTokens: 3 }],
      ] as const) {
        if (supports.reasoning.includes(demand)) continue
        const refused = await failGeneration(engine, question, { reasoning })
        expect(refused).toMatchObject({
          code: 'invalid-option',
          message: expect.stringMatching(/reasoning/),
        })
      }
      if (!supports.reasoning.includes('budget')) return
      const short = await ask({ maxTokens: 3 })
      expect(short.reasoning).not.toBe('')
      expect(short.text).not.toBe('')
    }),

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
    expect(result.usage.completionTokens).toBe(5)
    const addedTokens = result.usage.promptTokens - whole.usage.promptTokens
    // The Prompt API measures the message to continue as a complete one, with the template's end of a turn.
    if (subject.kind === 'promptApi') expect(addedTokens).toBeGreaterThanOrEqual(3)
    else expect(addedTokens).toBe(3)
    // All but the last token, which was never computed.
    if (subject.reportsTokenIds && subject.info.device !== 'server')
      expect(result.usage.cachedPromptTokens).toBeGreaterThanOrEqual(whole.usage.promptTokens)
  },

  async takeOver({ subject, page, namedOrigins, servers, undisturbed: { result: whole } }) {
    const broken = await startFakeServer()
    broken.isBroken = true
    namedOrigins.add(new URL(broken.url).origin)
    try {
      const second = await openEngine(page, subject, { ...servers, broken: { url: broken.url } })
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

/** Starts the server of a subject, which answers with the embedded model; undefined for a backend without a server. */
async function startServer({ kind }: Subject): Promise<RealServer | undefined> {
  if (kind !== 'remote' && !transports.some((transport) => transport.kind === kind)) return undefined
  const program = kind === 'remote' ? 'dasLLAMA' : 'llama.cpp'
  const started = await startRealServer(program, 'demo/public/models/stories.gguf')
  test.skip('unavailable' in started, 'unavailable' in started ? started.unavailable : '')
  if ('unavailable' in started) return undefined
  const { value } = started
  const endId = 3
  const bridge =
    kind === 'grpcWeb'
      ? await startLlamaEngine(value, endId)
      : kind === 'responses socket'
        ? await startSocketBridge(value)
        : undefined
  const close = () => {
    bridge?.close()
    value.close()
  }
  return { ...value, ...(bridge && { url: bridge.url }), close }
}

for (const subject of [...subjects, sharedSubject, ...transports, ...concurrentSubjects]) {
  test.describe(subject.name.replaceAll('`', ''), () => {
    let context: Context
    let page: DrivenPage | undefined
    let server: RealServer | undefined
    test.beforeAll(async ({ driver, namedOrigins }) => {
      const untestable =
        subject.info.device === 'webgpu' ? explainUntestable('webgpu', driver.name) : undefined
      test.skip(untestable !== undefined, untestable)
      server = await startServer(subject)
      // A proxy sees a WebSocket as a connection to a host.
      if (server) namedOrigins.add(new URL(server.url).origin).add(new URL(server.url).host)
      page = await openBarePage(await driver.openPage())
      const servers = server ? { real: { url: server.url, model: server.model } } : {}
      const engine = await openEngine(page, subject, servers)
      const undisturbed = await streamAnswer(engine, question, greedy)
      context = { subject, page, namedOrigins, servers, engine, undisturbed }
    })
    test.afterAll(async () => {
      await page?.close()
      server?.close()
    })

    test('runs on the requested backend and device', async () => {
      const info = await context.engine.evaluate(({ info }) => info)
      expect(info).toMatchObject(subject.info)
      if (subject.concurrency) expect(info.supports.concurrency).toBe(subject.concurrency)
    })

    for (const [name, title] of Object.entries(promises) as [PromiseName, string][]) {
      if (subject.exceptions[name] !== undefined) continue
      const tag = subject.onlyInSoak.includes(name) ? '@soak' : []
      test(title.replaceAll('`', ''), { tag }, () => checks[name](context))
    }
  })
}
