// The Prompt API over the embedded model, as a page uses it. The statements are listed in docs/guides/prompt-api.md.
import { expect, test, type Page } from '@playwright/test'
import type { LanguageModel, LanguageModelClass, LanguageModelCreateOptions } from 'rivulet/prompt-api'
import { openBarePage } from './bare-page.js'

declare global {
  // oxlint-disable-next-line no-var -- a property of the global object
  var LanguageModel: LanguageModelClass
  interface Window {
    readonly createSession: (options?: LanguageModelCreateOptions) => Promise<LanguageModel>
  }
}

/** Installs the API in a page whose browser has none. */
async function install(page: Page): Promise<void> {
  await openBarePage(page)
  await page.evaluate(() => {
    const { createLanguageModel, onnx, xgrammar } = window.rivulet
    Reflect.deleteProperty(globalThis, 'LanguageModel')
    const backend = onnx({ device: 'wasm', grammar: xgrammar() })
    createLanguageModel({ backend, model: './models/stories/' }, { install: true })
    Object.assign(window, {
      // The most likely tokens, so that answers can be compared.
      createSession: (options = {}) => LanguageModel.create({ samplingMode: 'most-predictable', ...options }),
    })
  })
}

test('a page that is written for the Prompt API runs on the embedded model', async ({ page }) => {
  await install(page)
  const seen = await page.evaluate(async () => {
    const question = 'Tell me a story about a dragon.'
    const before = await LanguageModel.availability()
    const progress: number[] = []
    const session = await window.createSession({
      monitor: (target) =>
        target.addEventListener('downloadprogress', (event) => {
          progress.push((event as ProgressEvent).loaded)
        }),
    })
    const after = await LanguageModel.availability()
    const measured = await session.measureContextUsage(question)
    const text = await session.prompt(question)
    const usage = session.contextUsage
    const clone = await session.clone()
    const other = await window.createSession()
    let streamed = ''
    const reader = other.promptStreaming(question).getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read())
      streamed += String(read.value)
    const next = await session.prompt('Tell me more.')
    const nextOfClone = await clone.prompt('Tell me more.')
    const { contextWindow } = session
    return { before, after, progress, measured, text, usage, streamed, next, nextOfClone, contextWindow }
  })
  expect(seen).toMatchObject({ before: 'downloadable', after: 'available', contextWindow: 384 })
  expect(seen.progress.at(0)).toBe(0)
  expect(seen.progress.at(-1)).toBe(1)
  expect(seen.progress).toEqual([...new Set(seen.progress)].toSorted((a, b) => a - b))
  expect(seen.measured).toBeGreaterThan(5)
  expect(seen.usage).toBeGreaterThan(seen.measured)
  expect(seen.text).toContain('Once')
  expect(seen.streamed).toBe(seen.text)
  expect(seen.nextOfClone).toBe(seen.next)
})

test('an engine over the browser’s model streams its answers; without one, the next backend is used', async ({
  page,
}) => {
  await openBarePage(page)
  const seen = await page.evaluate(async () => {
    const { createEngine, createLanguageModel, onnx, promptApi } = window.rivulet
    Reflect.deleteProperty(globalThis, 'LanguageModel')
    const question = 'Tell me a story about a dragon.'
    const local = () => onnx({ device: 'wasm' })
    const model = './models/stories/'
    const other = await createEngine({ backend: [promptApi(), local()], model })
    const { skipped } = other
    // The embedded model, as if it were the browser's.
    const Model = createLanguageModel(other, { install: true })
    const create = (options: LanguageModelCreateOptions) =>
      Model.create({ ...options, samplingMode: 'most-predictable' })
    Object.assign(globalThis, { LanguageModel: { availability: Model.availability, create } })
    const engine = await createEngine({ backend: [promptApi({ languages: ['en'] }), local()], model })
    const { backend, device } = engine.info
    const counted = await engine.countTokens(question)
    const stream = engine.generate(question, { maxTokens: 12 })
    const chunks: string[] = []
    for await (const { text } of stream) chunks.push(text)
    const { text, finishReason, usage, latency } = await stream.result
    const expected = await other.generate(question, { maxTokens: 12, temperature: 0 }).text()
    const left = engine.generate(question)
    for await (const { index } of left) if (index === 1) break
    const cancelled = (await left.result).finishReason
    const again = await engine.generate(question, { maxTokens: 12 }).text()
    let seed = ''
    try {
      engine.generate(question, { seed: 1 })
    } catch (error) {
      seed = (error as Error).message
    }
    await engine.dispose()
    const answers = { chunks, text, expected, again, seed }
    const figures = { counted, usage, finishReason, cancelled, ttft: latency.timeToFirstTokenMs }
    return { skipped, backend, device, ...answers, ...figures }
  })
  const { expected, counted } = seen
  expect(seen).toMatchObject({ backend: 'prompt-api', device: 'browser', finishReason: 'length' })
  expect(seen.skipped).toEqual([{ name: 'prompt-api', reason: expect.stringContaining('no Prompt API') }])
  expect(seen.text).toBe(expected)
  expect(seen.chunks.join('')).toBe(expected)
  expect(seen.again).toBe(expected)
  expect(seen.cancelled).toBe('cancelled')
  expect(seen.usage).toMatchObject({ promptTokens: counted, completionTokens: 12 })
  expect(seen.ttft).toBeGreaterThan(0)
  expect(seen.seed).toContain('prompt-api does not support "seed"')
})

test('a constraint, a prefix, an overflow and an abort, on the embedded model', async ({ page }) => {
  await install(page)
  const seen = await page.evaluate(async () => {
    const schema = {
      type: 'object',
      required: ['rating'],
      additionalProperties: false,
      properties: { rating: { type: 'integer', minimum: 0, maximum: 5 } },
    }
    const describe = (error: unknown) => {
      const { name, requested, quota } = error as DOMException & { requested?: number; quota?: number }
      return { name, requested, quota }
    }
    const session = await window.createSession()
    const rating = await session.prompt('Rate the story.', { responseConstraint: schema })
    const color = await (
      await window.createSession()
    ).prompt('Say a color.', {
      responseConstraint: /red|green|blue/,
    })
    const prefixed = await (
      await window.createSession()
    ).prompt(
      [
        { role: 'user', content: 'Rate the story.' },
        { role: 'assistant', content: '{"rating":', prefix: true },
      ],
      { responseConstraint: schema },
    )

    const long = await window.createSession()
    const sentence = 'The dragon was happy. '
    const tooLong = sentence.repeat(200)
    const requested = await long.measureContextUsage(tooLong)
    const refused = await long.prompt(tooLong).catch(describe)
    let overflows = 0
    long.addEventListener('contextoverflow', () => (overflows += 1))
    await long.append(sentence.repeat(40))
    const full = long.contextUsage
    await long.append([{ role: 'assistant', content: 'Yes.' }])
    const answer = await long.prompt(sentence.repeat(40))

    const abort = new AbortController()
    const usage = long.contextUsage
    const reader = long.promptStreaming('Hello', { signal: abort.signal }).getReader()
    await reader.read()
    abort.abort()
    const aborted = await reader.closed.then(() => undefined, describe)
    const usageAfterAbort = long.contextUsage
    const again = await long.prompt('Hello')
    const running = long.prompt('Hello').catch(describe)
    long.destroy()
    const destroyed = [await running, await long.prompt('Hello').catch(describe)]
    const { contextWindow } = long
    return {
      rating,
      color,
      prefixed,
      requested,
      refused,
      overflows,
      full,
      answer,
      usage,
      aborted,
      usageAfterAbort,
      again,
      destroyed,
      contextWindow,
    }
  })
  expect(JSON.parse(String(seen.rating))).toEqual({ rating: expect.any(Number) })
  expect(seen.color).toMatch(/^(red|green|blue)$/)
  expect(JSON.parse(`{"rating":${String(seen.prefixed)}`)).toEqual({ rating: expect.any(Number) })
  const { requested, contextWindow } = seen
  expect(seen.refused).toEqual({ name: 'QuotaExceededError', requested, quota: contextWindow })
  expect(seen.full).toBeGreaterThan(contextWindow / 2)
  expect(seen.overflows).toBe(1)
  expect(seen.answer).not.toBe('')
  expect(seen.aborted).toMatchObject({ name: 'AbortError' })
  expect(seen.usageAfterAbort).toBeLessThanOrEqual(seen.usage)
  expect(seen.again).not.toBe('')
  expect(seen.destroyed).toMatchObject([{ name: 'AbortError' }, { name: 'InvalidStateError' }])
})
