// The real AI SDK, with an engine of this page as its language model.
import type { JSHandle } from '@playwright/test'
import type { Engine } from 'rivulet'
import { expect, test } from 'rivulet/playwright'
import { loadEngine, openBarePage } from './bare-page.js'

let engine: JSHandle<Engine>
test.beforeEach(async ({ page }) => {
  await openBarePage(page, { hasClients: true })
  engine = await loadEngine(page, 'wasm')
})

const prompt = 'Tell me a story about a dragon.'

test('streamText streams with usage and a finish reason; generateText returns the same', async ({
  rivulet,
}) => {
  const observed = rivulet.nextStream()
  const seen = await engine.evaluate(async (engine, prompt) => {
    const { aiSdk, rivulet } = window
    const model = rivulet.languageModel(engine)
    const asked = { model, prompt, temperature: 0, maxOutputTokens: 12 }
    const stream = aiSdk.streamText(asked)
    const deltas: string[] = []
    for await (const delta of stream.textStream) deltas.push(delta)
    const whole = await aiSdk.generateText(asked)
    return {
      deltas,
      streamed: { finishReason: await stream.finishReason, usage: await stream.usage },
      whole: { text: whole.text, finishReason: whole.finishReason, usage: whole.usage },
    }
  }, prompt)
  const { text, usage: counted } = await observed.result
  await expect(observed).toHaveStreamed(text)
  expect(seen.deltas).toEqual(observed.chunks.map((chunk) => chunk.text))
  expect(seen.whole.text).toBe(text)
  for (const { finishReason, usage } of [seen.streamed, seen.whole]) {
    expect(finishReason).toBe('length')
    expect(usage).toMatchObject({ inputTokens: counted.promptTokens, outputTokens: 12 })
  }
})

test('aborting cancels the generation, and the next one runs', async ({ rivulet }) => {
  const observed = rivulet.nextStream()
  const next = await engine.evaluate(async (engine, prompt) => {
    const { aiSdk, rivulet } = window
    const abort = new AbortController()
    const stream = aiSdk.streamText({
      model: rivulet.languageModel(engine),
      prompt,
      abortSignal: abort.signal,
      onError() {},
    })
    let deltas = 0
    for await (const _ of stream.textStream) if (++deltas === 3) abort.abort()
    return engine.generate('Hello', { maxTokens: 2 }).text()
  }, prompt)
  expect((await observed.result).finishReason).toBe('cancelled')
  expect(observed.chunks.length).toBeLessThan(10)
  expect(next).not.toBe('')
})

test('what is not supported is refused or a warning; options of this library go through providerOptions', async () => {
  const seen = await engine.evaluate(async (engine, prompt) => {
    const { aiSdk, rivulet } = window
    const model = rivulet.languageModel(engine)
    const call = (more: object) => {
      const content = [{ type: 'text' as const, text: prompt }]
      return model.doGenerate({ prompt: [{ role: 'user', content }], maxOutputTokens: 2, ...more })
    }
    const refuse = (more: object) =>
      call(more).then(
        () => 'answered',
        ({ code, details }: { code: string; details: object }) => ({ code, details }),
      )
    const warned = await call({ reasoning: 'high' })
    const refused = [
      await refuse({ tools: [{ type: 'function', name: 'look', inputSchema: {} }] }),
      await refuse({ responseFormat: { type: 'json' } }),
    ]
    const narrow = { temperature: 2, maxOutputTokens: 4, seed: 3, maxRetries: 0 } as const
    const { text } = await aiSdk.generateText({
      ...narrow,
      model,
      prompt,
      providerOptions: { rivulet: { minP: 1 } },
    })
    const greedy = await engine.generate(prompt, { temperature: 0, maxTokens: 4 }).text()
    const wrong = await aiSdk
      .generateText({ ...narrow, model, prompt, providerOptions: { rivulet: { minQ: 1 } } })
      .then(
        () => 'answered',
        (error: Error) => error.message,
      )
    return { warnings: warned.warnings, refused, text, greedy, wrong }
  }, prompt)
  expect(seen.warnings).toEqual([{ type: 'unsupported', feature: 'reasoning' }])
  expect(seen.refused).toEqual([
    { code: 'invalid-option', details: { option: 'tools' } },
    { code: 'invalid-option', details: { option: 'responseFormat' } },
  ])
  expect(seen.text).toBe(seen.greedy)
  expect(seen.wrong).toContain('minQ')
})
