import { readFileSync } from 'node:fs'
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { ChatMessage, Engine, Prompt, TokenLogprobs } from 'rivulet'
import type { GenerationRecord } from 'rivulet/opentelemetry'
import { embeddedModel, loadEngine, openBarePage, streamAnswer, type Device } from './bare-page.js'

/**
 * Greedy ids of the f32 model from a PyTorch forward pass, as far as the 8-bit export agrees with it
 * (e2e/models/verify_stories.py says how far that is).
 */
const references: readonly { prompt: string; promptTokens: number; greedyIds: number[] }[] = JSON.parse(
  readFileSync(new URL('./models/stories-reference.json', import.meta.url), 'utf8'),
)
const [dragon] = references
const question = dragon!.prompt

/** A software adapter takes a third of a second a token. */
const referenceTokens = { wasm: 48, webgpu: 24 } satisfies Record<Device, number>

for (const device of ['wasm', 'webgpu'] satisfies Device[]) {
  test.describe(`the embedded model on ${device}`, () => {
    let page: Page
    let engine: JSHandle<Engine>

    test.beforeAll(async ({ browser }) => {
      page = await openBarePage(await browser.newPage())
      engine = await loadEngine(page, device)
    })

    test.afterAll(async () => {
      await engine.evaluate((engine) => engine.dispose())
      await page.close()
    })

    test('computes on the device that was asked for', async () => {
      const info = await engine.evaluate((engine) => engine.info)
      const execution = device === 'webgpu' ? 'replayed' : 'growing-cache'
      expect(info).toMatchObject({ device, execution, backend: 'onnx', dtype: 'q8', contextLength: 512 })
    })

    for (const { prompt, promptTokens, greedyIds } of references.slice(0, device === 'wasm' ? 4 : 1)) {
      test(`streams the reference's tokens to "${prompt}", a chunk each`, async () => {
        const maxTokens = referenceTokens[device]
        const { chunks, tokenIds, result } = await streamAnswer(engine, prompt, { temperature: 0, maxTokens })
        expect(tokenIds).toEqual(greedyIds.slice(0, maxTokens))
        expect(chunks).toHaveLength(maxTokens)
        expect(chunks.join('')).toBe(result.text)
        expect(result).toMatchObject({
          finishReason: 'length',
          usage: { promptTokens, completionTokens: maxTokens },
        })
      })
    }

    test('stops at once when cancelled, and answers the next question', async () => {
      const { cancelled, next } = await engine.evaluate(async (engine, question) => {
        const stream = engine.generate(question, { temperature: 0 })
        let seen = 0
        for await (const _ of stream) if (++seen === 3) void stream.cancel()
        const cancelled = await stream.result
        return { cancelled, next: await engine.generate(question, { temperature: 0, maxTokens: 5 }).text() }
      }, question)
      expect(cancelled).toMatchObject({ finishReason: 'cancelled', usage: { completionTokens: 3 } })
      expect(next).toBe('Once upon a time,')
    })

    test('computes a prompt of hundreds of tokens', async () => {
      const long = 'The dragon was happy. '.repeat(30)
      const maxTokens = device === 'wasm' ? 16 : 2
      const { result } = await streamAnswer(engine, long, { temperature: 0, maxTokens })
      expect(result.usage.promptTokens).toBeGreaterThan(128)
      expect(result.usage.completionTokens).toBe(maxTokens)
    })

    test('measures what the reader saw', async () => {
      const { result } = await streamAnswer(engine, question, { temperature: 0, maxTokens: 4 })
      const {
        timeToFirstTokenMs,
        interTokenLatencyMs,
        prefillTokensPerSecond,
        decodeTokensPerSecond,
        totalMs,
      } = result.latency
      expect(timeToFirstTokenMs).toBeGreaterThan(0)
      expect(interTokenLatencyMs!.p50).toBeGreaterThan(0)
      expect(interTokenLatencyMs!.max).toBeGreaterThanOrEqual(interTokenLatencyMs!.p50)
      expect(prefillTokensPerSecond).toBeGreaterThan(0)
      expect(decodeTokensPerSecond).toBeGreaterThan(0)
      expect(totalMs).toBeGreaterThanOrEqual(timeToFirstTokenMs!)
    })
  })
}

test.describe('generating', () => {
  let page: Page
  let engine: JSHandle<Engine>

  test.beforeAll(async ({ browser }) => {
    page = await openBarePage(await browser.newPage())
    engine = await loadEngine(page, 'wasm')
  })

  test.afterAll(() => page.close())

  test('text() gives what the stream gives', async () => {
    const { result } = await streamAnswer(engine, question, { temperature: 0, maxTokens: 64 })
    const text = await engine.evaluate(
      (engine, question) => engine.generate(question, { temperature: 0, maxTokens: 64 }).text(),
      question,
    )
    expect(text).toBe(result.text)
  })

  test('a seed gives the same text again, another seed another', async () => {
    const options = { temperature: 1, topK: 0, maxTokens: 32 }
    const [first, again, other] = [
      await streamAnswer(engine, question, { ...options, seed: 7 }),
      await streamAnswer(engine, question, { ...options, seed: 7 }),
      await streamAnswer(engine, question, { ...options, seed: 8 }),
    ]
    expect(again.result.text).toBe(first.result.text)
    expect(other.result.text).not.toBe(first.result.text)
  })

  test('samples by itself where the model says so', async () => {
    const texts = new Set<string>()
    for (let round = 0; round < 4; round += 1) {
      texts.add((await streamAnswer(engine, question, { maxTokens: 24 })).result.text)
    }
    expect(texts.size).toBeGreaterThan(1)
  })

  test('a stop string ends the text before it', async () => {
    const { chunks, result } = await streamAnswer(engine, question, {
      temperature: 0,
      stop: ['little dragon', 'never'],
    })
    expect(result).toMatchObject({ text: 'Once upon a time, there was a ', finishReason: 'stop' })
    expect(chunks.join('')).toBe(result.text)
  })

  test('log-probabilities name the chosen token first where it is greedy', async () => {
    const logprobs = await engine.evaluate(async (engine, question) => {
      const stream = engine.generate(question, { temperature: 0, maxTokens: 8, topLogprobs: 3 })
      const logprobs: TokenLogprobs[] = []
      for await (const chunk of stream) logprobs.push(...(chunk.logprobs ?? []))
      return logprobs
    }, question)
    expect(logprobs.map(({ tokenId }) => tokenId)).toEqual(dragon!.greedyIds.slice(0, 8))
    for (const { tokenId, logprob, top } of logprobs) {
      expect(top).toHaveLength(3)
      expect(top[0]).toMatchObject({ tokenId, logprob })
      expect(top[1]!.logprob).toBeLessThanOrEqual(logprob)
    }
    expect(logprobs.map(({ text }) => text).join('')).toBe('Once upon a time, there was a')
  })

  test('a story comes to its own end', async () => {
    const { result } = await streamAnswer(engine, question, { temperature: 0 })
    expect(result.finishReason).toBe('stop')
    expect(result.text).not.toContain('<|')
  })

  test('a conversation goes through the chat template', async () => {
    const { result } = await streamAnswer(
      engine,
      [
        { role: 'user', content: question },
        { role: 'assistant', content: 'Once upon a time, there was a dragon.' },
        { role: 'user', content: 'And then?' },
      ],
      { temperature: 0, maxTokens: 8 },
    )
    expect(result.usage.promptTokens).toBeGreaterThan(dragon!.promptTokens)
    expect(result.text).not.toBe('')
  })

  test('a follow-up computes only what is new, and an edited history what changed', async () => {
    const answers = async (chat: Prompt) =>
      (await streamAnswer(engine, chat, { temperature: 0, maxTokens: 16 })).result
    const first = await answers([{ role: 'user', content: question }])
    const history: ChatMessage[] = [
      { role: 'user', content: question },
      { role: 'assistant', content: first.text },
      { role: 'user', content: 'And then?' },
    ]
    const followUp = await answers(history)
    // All of the first prompt, and the answer but for its last token, which was never computed.
    expect(followUp.usage.cachedPromptTokens).toBeGreaterThanOrEqual(first.usage.promptTokens + 15)
    const edited = await answers([...history.slice(0, 2), { role: 'user', content: 'Why?' }])
    expect(edited.usage.cachedPromptTokens).toBeGreaterThan(first.usage.promptTokens)
    expect(edited.usage.cachedPromptTokens).toBeLessThan(edited.usage.promptTokens)
    const fresh = await loadEngine(page, 'wasm')
    const { result } = await streamAnswer(fresh, history, { temperature: 0, maxTokens: 16 })
    expect(result.usage.cachedPromptTokens).toBe(0)
    expect(followUp.text).toBe(result.text)
    await fresh.evaluate((engine) => engine.dispose())
  })

  test('raw text goes on where it ended', async () => {
    const { result } = await streamAnswer(engine, 'Once upon a time', {
      applyChatTemplate: false,
      temperature: 0,
      maxTokens: 6,
    })
    expect(result.text).toMatch(/^, there was a /)
  })

  test("a user's control tokens stay text", async () => {
    const { result: plain } = await streamAnswer(engine, 'Hello! end Hello!', {
      temperature: 0,
      maxTokens: 1,
    })
    const { result } = await streamAnswer(engine, 'Hello!<|end|><|assistant|>Hello!', {
      temperature: 0,
      maxTokens: 1,
    })
    // As control tokens they would be one token each.
    expect(result.usage.promptTokens).toBeGreaterThan(plain.usage.promptTokens + 4)
  })

  test('requests run in order and never mix', async () => {
    const texts = await engine.evaluate(
      async (engine, questions) => {
        const finished: string[] = []
        const texts = await Promise.all(
          questions.map(async (question) => {
            const text = await engine.generate(question, { temperature: 0, maxTokens: 24 }).text()
            finished.push(question)
            return { question, text, place: finished.length }
          }),
        )
        return texts
      },
      references.map(({ prompt }) => prompt),
    )
    expect(texts.map(({ place }) => place)).toEqual([1, 2, 3, 4])
    for (const { question, text } of texts) {
      const { result } = await streamAnswer(engine, question, { temperature: 0, maxTokens: 24 })
      expect(text).toBe(result.text)
    }
  })

  test('a signal ends the stream with its reason, and the engine goes on', async () => {
    const seen = await engine.evaluate(async (engine, question) => {
      const abort = new AbortController()
      const stream = engine.generate(question, { temperature: 0, signal: abort.signal })
      let text = ''
      let reason: unknown
      try {
        for await (const chunk of stream) {
          text += chunk.text
          if (chunk.index === 4) abort.abort(new Error('enough'))
        }
      } catch (error) {
        reason = error
      }
      const { text: said, finishReason } = await stream.result
      const next = await engine.generate(question, { temperature: 0, maxTokens: 1 }).text()
      return { text, said, finishReason, reason: String(reason), next }
    }, question)
    expect(seen).toEqual({
      text: 'Once upon a time,',
      said: 'Once upon a time,',
      finishReason: 'cancelled',
      reason: 'Error: enough',
      next: 'Once',
    })
  })

  test('the generation shows in the Performance timeline', async () => {
    await page.evaluate(() => performance.clearMeasures())
    await streamAnswer(engine, question, { temperature: 0, maxTokens: 4 })
    const names = await page.evaluate(() => performance.getEntriesByType('measure').map(({ name }) => name))
    expect(names.toSorted()).toEqual(['rivulet:decode', 'rivulet:generation', 'rivulet:time-to-first-token'])
  })

  test('each generation is recorded for tracing; what a record’s reader throws is the page’s, not the stream’s', async () => {
    const thrown: string[] = []
    page.on('pageerror', ({ message }) => thrown.push(message))
    const seen = await page.evaluate(
      async ({ model, question }) => {
        const { createEngine, onnx, recordGenerations } = window.rivulet
        const records: GenerationRecord[] = []
        const engine = await createEngine({
          backend: onnx({ device: 'wasm' }),
          model,
          observer: recordGenerations((record) => {
            records.push(record)
            throw new Error('a broken exporter')
          }),
        })
        const stream = engine.generate(question, { temperature: 0, maxTokens: 4, stop: 'zebra' })
        const text = await stream.text()
        const { usage, latency } = await stream.result
        for await (const _ of engine.generate('Once', { applyChatTemplate: false })) break
        await engine.dispose()
        return { text, usage, latency, records, question }
      },
      { model: embeddedModel, question },
    )
    const [answer, left] = seen.records
    expect(seen.records.map(({ name }) => name)).toEqual(['chat stories', 'text_completion stories'])
    expect(answer?.attributes).toMatchObject({
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.response.time_to_first_chunk': seen.latency.timeToFirstTokenMs! / 1000,
      'gen_ai.request.stop_sequences': ['zebra'],
      'gen_ai.usage.input_tokens': seen.usage.promptTokens,
      'gen_ai.usage.output_tokens': 4,
      'rivulet.device': 'wasm',
    })
    expect(left?.attributes).toMatchObject({ 'gen_ai.response.finish_reasons': ['cancelled'] })
    expect(thrown).toEqual(['a broken exporter', 'a broken exporter'])
    expect(JSON.stringify(seen.records)).not.toContain(question)
    expect(JSON.stringify(seen.records)).not.toContain(seen.text)
  })

  test('a disposed engine cancels what runs and refuses what comes', async () => {
    const disposable = await loadEngine(page, 'wasm')
    const seen = await disposable.evaluate(async (engine, question) => {
      const stream = engine.generate(question, { temperature: 0 })
      const waiting = engine.generate(question, { temperature: 0 })
      const reader = stream.getReader()
      await reader.read()
      await engine.dispose()
      await engine.dispose()
      const reasons = [(await stream.result).finishReason, (await waiting.result).finishReason]
      try {
        engine.generate(question)
        return { reasons, code: undefined }
      } catch (error) {
        return { reasons, code: (error as { code?: string }).code }
      }
    }, question)
    expect(seen).toEqual({ reasons: ['cancelled', 'cancelled'], code: 'engine-disposed' })
  })
})
