// onnx() with the embedded model on WASM. contract.spec.ts tests what every backend promises.
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { ChatMessage, Engine, Prompt, TokenLogprobs } from 'rivulet'
import type { GenerationRecord } from 'rivulet/opentelemetry'
import { embeddedModel, loadEngine, openBarePage, readStoryReferences, streamAnswer } from './bare-page.js'

const references = readStoryReferences()
const [dragon] = references
const question = dragon!.prompt

test.describe('the embedded model', () => {
  let page: Page
  let engine: JSHandle<Engine>

  test.beforeAll(async ({ browser }) => {
    page = await openBarePage(await browser.newPage())
    engine = await loadEngine(page, 'wasm')
  })

  test.afterAll(() => page.close())

  for (const { prompt, promptTokens, greedyIds } of references) {
    test(`streams the reference's tokens for "${prompt}", one per chunk`, async () => {
      const maxTokens = 48
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

  test('ends at a stop string that is a control token', async () => {
    // The bias makes every token <|assistant|>, which does not end an answer by itself.
    const options = { temperature: 0, maxTokens: 4, logitBias: { 2: 100 } }
    const { result: running } = await streamAnswer(engine, question, options)
    expect(running).toMatchObject({ text: '', finishReason: 'length', usage: { completionTokens: 4 } })
    const { result: stopped } = await streamAnswer(engine, question, { ...options, stop: '<|assistant|>' })
    expect(stopped).toMatchObject({ text: '', finishReason: 'stop', usage: { completionTokens: 1 } })
  })

  test('samples by default if its generation config says so', async () => {
    const texts = new Set<string>()
    for (let round = 0; round < 4; round += 1) {
      texts.add((await streamAnswer(engine, question, { maxTokens: 24 })).result.text)
    }
    expect(texts.size).toBeGreaterThan(1)
  })

  test('log-probabilities list the greedy token first', async () => {
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

  test('a story ends with the end-of-sequence token, which is not in the text', async () => {
    const { result } = await streamAnswer(engine, question, { temperature: 0 })
    expect(result.finishReason).toBe('stop')
    expect(result.text).not.toContain('<|')
  })

  test('a follow-up computes only the new messages, and an edited history only the changed part', async () => {
    const answer = async (chat: Prompt) =>
      (await streamAnswer(engine, chat, { temperature: 0, maxTokens: 16 })).result
    const first = await answer([{ role: 'user', content: question }])
    const history: ChatMessage[] = [
      { role: 'user', content: question },
      { role: 'assistant', content: first.text },
      { role: 'user', content: 'And then?' },
    ]
    const followUp = await answer(history)
    expect(followUp.text).not.toBe('')
    // The first prompt and its answer, except the answer's last token: that was never computed.
    expect(followUp.usage.cachedPromptTokens).toBeGreaterThanOrEqual(first.usage.promptTokens + 15)
    const edited = await answer([...history.slice(0, 2), { role: 'user', content: 'Why?' }])
    expect(edited.usage.cachedPromptTokens).toBeGreaterThan(first.usage.promptTokens)
    expect(edited.usage.cachedPromptTokens).toBeLessThan(edited.usage.promptTokens)
    const fresh = await loadEngine(page, 'wasm')
    const { result } = await streamAnswer(fresh, history, { temperature: 0, maxTokens: 16 })
    expect(result.usage.cachedPromptTokens).toBe(0)
    expect(followUp.text).toBe(result.text)
    await fresh.evaluate((engine) => engine.dispose())
  })

  test('without the chat template the model continues the prompt', async () => {
    const { result } = await streamAnswer(engine, 'Once upon a time', {
      applyChatTemplate: false,
      temperature: 0,
      maxTokens: 6,
    })
    expect(result.text).toMatch(/^, there was a /)
  })

  test('the generation appears in the Performance timeline', async () => {
    await page.evaluate(() => performance.clearMeasures())
    await streamAnswer(engine, question, { temperature: 0, maxTokens: 4 })
    const names = await page.evaluate(() => performance.getEntriesByType('measure').map(({ name }) => name))
    expect(names.toSorted()).toEqual(['rivulet:decode', 'rivulet:generation', 'rivulet:time-to-first-token'])
  })

  test('each generation is recorded for tracing, and an error in the callback does not reach the stream', async () => {
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

  test('disposing an engine cancels its requests, and later requests are refused', async () => {
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
