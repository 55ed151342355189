import { describe, expect, it } from 'vitest'
import { createEngine } from './engine.js'
import { webLlm } from './web-llm.js'

const realWorker = () =>
  new Worker(new URL('../workers/web-llm.worker.ts', import.meta.url), { type: 'module' })
const scriptedWorker = () =>
  new Worker(new URL('../workers/web-llm/scripted.worker.test-support.ts', import.meta.url), {
    type: 'module',
  })

/** Skips the check of the adapter, since the one of the tests computes on the CPU. */
function createEngineOn(model: string, worker: () => Worker) {
  const checkAvailability = () => Promise.resolve({ isAvailable: true } as const)
  return createEngine({ backend: { ...webLlm({ model, worker }), checkAvailability } })
}

const openScripted = () => createEngineOn('Story-1B-q4f16_1-MLC', scriptedWorker)
const story = 'Once upon a time'

it('an error of the runtime keeps its code across the worker boundary (real package, real worker)', async () => {
  await expect(createEngineOn('Llama-3.2-1B', realWorker)).rejects.toMatchObject({
    code: 'model-not-found',
    message: expect.stringContaining('Llama-3.2-1B-Instruct-q4f32_1-MLC'),
  })
})

describe('an engine on webLlm() (real engine, scripted pipeline, real worker)', () => {
  it('streams text, counts tokens, and runs requests in order', async () => {
    await using engine = await openScripted()
    const streams = [engine.generate('One?'), engine.generate('Two?', { maxTokens: 2 })] as const
    expect(await Promise.all(streams.map((stream) => stream.text()))).toEqual([story, 'Once upon'])
    const result = await streams[0].result
    expect(result.finishReason).toBe('stop')
    expect(result.usage).toEqual({
      promptTokens: expect.any(Number),
      cachedPromptTokens: 0,
      completionTokens: 4,
    })
    expect(result.usage.promptTokens).toBeGreaterThan('One?'.length)
  })

  it('cancels when the reader leaves the loop, and answers the next request', async () => {
    await using engine = await openScripted()
    const abandoned = engine.generate('One?')
    for await (const { text } of abandoned) if (text !== '') break
    expect(await abandoned.result).toMatchObject({ finishReason: 'cancelled', text: 'Once' })
    expect(await engine.generate('Two?').text()).toBe(story)
  })

  it('refuses options that its runtime does not have, and answers the next request', async () => {
    await using engine = await openScripted()
    expect(() => engine.generate('One?', { topK: 40 })).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option: 'topK' } }),
    )
    expect(await engine.generate('Two?').text()).toBe(story)
  })

  it('fails with the text so far if the device is lost, and answers the next request in a new worker', async () => {
    await using engine = await openScripted()
    const lost = engine.generate('lose it')
    const next = engine.generate('Two?')
    await expect(lost.text()).rejects.toMatchObject({ code: 'device-lost', text: 'Once upon' })
    expect(await next.text()).toBe(story)
  })
})

it('the URLs of a model record can be relative to the page', () => {
  const record = { model: 'models/story/', model_id: 'story', model_lib: './story.wasm' }
  const resolve = (url: string) => new URL(url, document.baseURI).href
  expect(webLlm({ model: 'story', modelRecords: [record] }).options).toMatchObject({
    modelRecords: [{ model: resolve('models/story/'), model_lib: resolve('story.wasm') }],
  })
})
