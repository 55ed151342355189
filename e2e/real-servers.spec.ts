// Real servers with a real model: llama.cpp's own server, and LiteLLM's proxy in front of it; and vLLM's gRPC service, written for
// the test, in front of llama.cpp.
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions, Prompt } from 'rivulet'
import { openBarePage, streamAnswer, type SeenError } from './bare-page.js'
import { startLlamaEngine } from './llama-bridges.js'
import { prepareSmolLm2, smolLm2Gguf } from './models/prepare.js'
import { startRealServer, type RealServer, type RealServerKind } from './real-server.js'
import { serveFolder } from './serve-folder.js'

const prompt = 'What is the capital of France?'
const greedy = { temperature: 0, maxTokens: 12 } as const

/** What differs between the servers. */
interface Case {
  readonly kind: RealServerKind
  readonly tag: readonly string[]
  readonly contextLength: number | undefined
  /** True if the server reports its own times. */
  readonly reportsTimes: boolean
  /** Set where the server's list of models does not show the kind of the server that answers. */
  readonly server?: 'llama-cpp'
}

const cases: readonly Case[] = [
  { kind: 'llama.cpp', tag: [], contextLength: 512, reportsTimes: true },
  // The proxy passes on neither the context length nor the times.
  { kind: 'LiteLLM', tag: ['@soak'], contextLength: undefined, reportsTimes: false, server: 'llama-cpp' },
]

const servers: RealServer[] = []

/** Starts a server with SmolLM2-135M-Instruct, or skips the test. */
async function start(kind: RealServerKind): Promise<RealServer> {
  const model = prepareSmolLm2()
  test.skip('unavailable' in model, 'unavailable' in model ? model.unavailable : '')
  const upstream = kind === 'LiteLLM' ? (await start('llama.cpp')).url : smolLm2Gguf
  const started = await startRealServer(kind, upstream)
  test.skip('unavailable' in started, 'unavailable' in started ? started.unavailable : '')
  if ('unavailable' in started) throw new Error(started.unavailable)
  servers.push(started.value)
  return started.value
}

function openEngine(
  page: Page,
  { url, model }: RealServer,
  more: { readonly server?: 'llama-cpp' | undefined; readonly extraBody?: Record<string, unknown> } = {},
): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ url, model, more }) => {
      const { createEngine, remote } = window.rivulet
      return createEngine({ backend: remote({ baseURL: url, model, canContinue: true, ...more }) })
    },
    { url, model, more },
  )
}

/** Returns the error that a generation ends with. */
function fail(engine: JSHandle<Engine>, asked: Prompt, options: Omit<GenerateOptions, 'signal'> = {}) {
  return engine.evaluate(
    async (engine, { asked, options }) => {
      try {
        await engine.generate(asked, options).result
        return undefined
      } catch (error) {
        const { name, code, message, text } = error as SeenError
        return { name, code, message, text }
      }
    },
    { asked, options },
  )
}

for (const { kind, tag, contextLength, reportsTimes, server: kindOfServer } of cases) {
  test.describe(`the server of ${kind}`, { tag: [...tag] }, () => {
    let page: Page
    let server: RealServer
    let engine: JSHandle<Engine>
    /** The greedy answer. */
    let text: string
    test.beforeAll(async ({ browser }) => {
      server = await start(kind)
      page = await openBarePage(await browser.newPage())
      engine = await openEngine(page, server, { server: kindOfServer })
      text = (await streamAnswer(engine, prompt, greedy)).result.text
    })
    test.afterAll(async () => {
      await page?.close()
      for (const started of servers.splice(0).toReversed()) started.close()
    })

    test('streams an answer, with its counts and its finish reason', async () => {
      const { chunks, result } = await streamAnswer(engine, prompt, greedy)
      expect(chunks.length).toBeGreaterThan(10)
      expect(chunks.join('')).toBe(result.text)
      expect(result.text).toBe(text)
      expect(result.usage.promptTokens).toBeGreaterThan(10)
      expect(result.usage.completionTokens).toBeLessThanOrEqual(greedy.maxTokens)
      expect(['stop', 'length']).toContain(result.finishReason)
      expect(result.latency.firstTokenChannel).toBe('text')
      expect(result.latency.model !== undefined).toBe(reportsTimes)
      expect(await engine.evaluate(({ info }) => info.contextLength)).toBe(contextLength)
      const short = await streamAnswer(engine, prompt, { ...greedy, maxTokens: 3 })
      expect(short.result).toMatchObject({ finishReason: 'length', usage: { completionTokens: 3 } })
    })

    test('gives the same text over the Responses API', async () => {
      const responsesEngine = await page.evaluateHandle(
        ({ url, model }) => {
          const { createEngine, remote, responses } = window.rivulet
          return createEngine({ backend: remote({ baseURL: url, model, transport: responses() }) })
        },
        { url: server.url, model: server.model },
      )
      const messages = [
        { role: 'user', content: prompt },
        { role: 'assistant', content: text },
        { role: 'user', content: 'And of Spain?' },
      ] as const
      // The Responses API takes limits of at least 16. LiteLLM raises a lower one.
      const limited = { ...greedy, maxTokens: 20 }
      const { result: expected } = await streamAnswer(engine, prompt, limited)
      const first = await streamAnswer(responsesEngine, prompt, limited)
      expect(first.result).toMatchObject({
        text: expected.text,
        finishReason: expected.finishReason,
        usage: { completionTokens: expected.usage.completionTokens },
      })
      expect(first.chunks.length).toBeGreaterThan(10)
      const second = await streamAnswer(responsesEngine, messages, limited)
      expect(second.result.text).toBe((await streamAnswer(engine, messages, limited)).result.text)
      expect(await fail(responsesEngine, prompt, { seed: 1 })).toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining('remote does not support "seed"'),
      })
    })

    test('takes the options under its own names', async () => {
      const answer = async (options: GenerateOptions) =>
        (await streamAnswer(engine, prompt, options)).result.text
      const word = text.split(' ').at(2)!
      expect(await answer({ ...greedy, stop: word })).toBe(text.slice(0, text.indexOf(word)))
      const wild = { ...greedy, temperature: 2, seed: 5 } as const
      expect(await answer(wild)).toBe(await answer(wild))
      expect(await answer({ ...wild, topK: 1 })).toBe(text)
      const list = { ...greedy, maxTokens: 60 } as const
      const repeats = await streamAnswer(engine, 'Repeat the word "word" again and again.', list)
      const penalized = await streamAnswer(engine, 'Repeat the word "word" again and again.', {
        ...list,
        repetitionPenalty: 1.9,
      })
      expect(penalized.result.text).not.toBe(repeats.result.text)
      expect(new Set((await answer({ ...greedy, logitBias: { 5000: 100 } })).trim().split(/\s+/)).size).toBe(
        1,
      )
    })

    test('clips maxTokens to the rest of its context, and refuses a prompt that is too long', async () => {
      // About 430 of the 512 tokens.
      const long = 'many words '.repeat(200)
      const { result } = await streamAnswer(engine, long, { temperature: 0, maxTokens: 5000 })
      expect(result.text).not.toBe('')
      expect(['stop', 'length']).toContain(result.finishReason)
      expect(await fail(engine, 'many words '.repeat(1000))).toMatchObject({
        code: 'prompt-too-long',
        text: '',
      })
      expect((await streamAnswer(engine, prompt, greedy)).result.text).toBe(text)
    })

    test('answers several requests at once, and the next ones after a cancel', async () => {
      const texts = await engine.evaluate(
        async (engine, { prompt, greedy }) => {
          const left = engine.generate('Tell me a very long story.', { maxTokens: 400 })
          for await (const { index } of left) if (index === 3) break
          const answers = [1, 2, 3].map(() => engine.generate(prompt, greedy).text())
          return [(await left.result).finishReason, ...(await Promise.all(answers))]
        },
        { prompt, greedy },
      )
      expect(texts[0]).toBe('cancelled')
      expect(texts.slice(1)).toEqual([text, text, text])
    })

    test('takes fields that this library does not know', async () => {
      const properties = { city: { type: 'string' } }
      const schema = { type: 'object', properties, required: ['city'], additionalProperties: false }
      const format = { type: 'json_schema', json_schema: { name: 'place', schema, strict: true } }
      const withFormat = await openEngine(page, server, { extraBody: { response_format: format } })
      const { result } = await streamAnswer(withFormat, 'Look up Paris.', { temperature: 0, maxTokens: 60 })
      expect(JSON.parse(result.text)).toEqual({ city: expect.any(String) })
    })
  })
}

test('grpcWeb() gives the text of sse(): the tokenizer in the page makes the tokens that llama.cpp makes', async ({
  page,
}) => {
  const server = await start('llama.cpp')
  const prepared = prepareSmolLm2()
  const folder = await serveFolder('value' in prepared ? prepared.value : '')
  // vLLM's service in front of it is written for the test.
  const bridge = await startLlamaEngine(server, 2)
  try {
    await openBarePage(page)
    const sseEngine = await openEngine(page, server)
    const engine = await page.evaluateHandle(
      ({ baseURL, model, tokenizer }) => {
        const { createEngine, grpcWeb, remote } = window.rivulet
        return createEngine({ backend: remote({ baseURL, model, transport: grpcWeb({ tokenizer }) }) })
      },
      { baseURL: bridge.url, model: server.model, tokenizer: folder.url },
    )
    const conversations: readonly Prompt[] = [
      prompt,
      'Zähle auf: 1, 2, 3 – und dann? 🙂',
      [
        { role: 'system', content: 'You are brief.' },
        { role: 'user', content: prompt },
        { role: 'assistant', content: 'Paris.' },
        { role: 'user', content: 'And of Spain?' },
      ],
    ]
    for (const asked of conversations) {
      const expected = await streamAnswer(sseEngine, asked, greedy)
      const { result, chunks, tokenIds } = await streamAnswer(engine, asked, greedy)
      expect(result.text).toBe(expected.result.text)
      expect(chunks.join('')).toBe(result.text)
      expect(tokenIds.length).toBe(result.usage.completionTokens)
      expect(result.usage.promptTokens).toBe(expected.result.usage.promptTokens)
      expect(result.finishReason).toBe(expected.result.finishReason)
    }
    const form = { responseFormat: { grammar: 'root ::= "yes" | "no"' }, maxTokens: 9 } as const
    expect((await streamAnswer(engine, prompt, form)).result.text).toMatch(/^(yes|no)$/)
  } finally {
    bridge.close()
    folder.close()
    for (const started of servers.splice(0)) started.close()
  }
})

test('llama.cpp’s server continues a message, and an answer of a killed server ends typed with its text', async ({
  page,
}) => {
  const server = await start('llama.cpp')
  try {
    await openBarePage(page)
    const engine = await openEngine(page, server)
    const { result } = await streamAnswer(
      engine,
      [
        { role: 'user', content: prompt },
        { role: 'assistant', content: 'The capital of France is' },
      ],
      { ...greedy, continueFinalMessage: true },
    )
    expect(result.text).toMatch(/^ Paris/)
    const running = engine.evaluate(async (engine) => {
      let text = ''
      try {
        for await (const chunk of engine.generate('Tell me a very long story.', {
          maxTokens: 450,
          temperature: 0,
        })) {
          text += chunk.text
          Object.assign(window, { text })
        }
        return { text }
      } catch (error) {
        const { code, text: kept } = error as SeenError
        return { text, code, kept }
      }
    })
    await page.waitForFunction(() => (window as unknown as { text?: string }).text !== undefined)
    server.close()
    const seen = await running
    expect(seen.code).toBe('connection-failed')
    expect(seen.text).not.toBe('')
    expect(seen.kept).toBe(seen.text)
  } finally {
    for (const started of servers.splice(0)) started.close()
  }
})

test('llama.cpp’s server holds the forms of an answer, also from the middle, and refuses what its model cannot do', async ({
  page,
}) => {
  const server = await start('llama.cpp')
  try {
    await openBarePage(page)
    const engine = await openEngine(page, server)
    // llama.cpp's own converter would ignore "multipleOf".
    const people = { type: 'integer', multipleOf: 10, minimum: 0, maximum: 500 }
    const properties = { city: { type: 'string' }, people }
    const jsonSchema = {
      type: 'object',
      properties,
      required: ['city', 'people'],
      additionalProperties: false,
    }
    const whole = { city: expect.any(String), people: expect.any(Number) }
    for (const seed of [1, 2, 3]) {
      const options = { responseFormat: { jsonSchema }, temperature: 1.5, seed, maxTokens: 200 }
      const { result } = await streamAnswer(engine, 'Describe Paris.', options)
      if (result.finishReason !== 'stop') continue
      const value = JSON.parse(result.text) as { people: number }
      expect(value).toEqual(whole)
      expect(value.people % 10).toBe(0)
    }
    const word = await streamAnswer(engine, prompt, { responseFormat: { regex: '[a-z]{3}' }, maxTokens: 9 })
    expect(word.result.text).toMatch(/^[a-z]{3}$/)
    const grammar = 'root ::= "yes" | "no"'
    const short = await streamAnswer(engine, prompt, { responseFormat: { grammar }, maxTokens: 9 })
    expect(short.result.text).toMatch(/^(yes|no)$/)

    const conversation: Prompt = [
      { role: 'user', content: 'Describe Paris.' },
      { role: 'assistant', content: '{"city": "Par' },
    ]
    const continued = { ...greedy, maxTokens: 60, continueFinalMessage: true }
    const { result } = await streamAnswer(engine, conversation, {
      ...continued,
      responseFormat: { jsonSchema },
    })
    expect(JSON.parse(`{"city": "Par${result.text}`)).toEqual(whole)

    const refusals: readonly (readonly [string, Prompt, Omit<GenerateOptions, 'signal'>])[] = [
      ['continueFinalMessage', conversation, { ...continued, responseFormat: { grammar } }],
      // SmolLM2's chat template has neither.
      ['tools', prompt, { tools: [{ name: 'clock' }] }],
      ['reasoning', prompt, { reasoning: 'off' }],
    ]
    for (const [name, asked, options] of refusals) {
      expect(await fail(engine, asked, options), name).toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining(name),
        text: '',
      })
    }
  } finally {
    for (const started of servers.splice(0)) started.close()
  }
})
