import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions } from 'rivulet'
import { embeddedModel, openBarePage, type Device } from './bare-page.js'

const question = 'Tell me a story about a dragon.'

/** Ends by itself also with a model that knows no JSON: every part is bounded. */
const jsonSchema = {
  type: 'object',
  properties: {
    title: { type: 'string', maxLength: 12 },
    animals: { type: 'array', items: { enum: ['cat', 'dog', 'dragon', 'bird'] }, minItems: 2, maxItems: 3 },
    pages: { type: 'integer', minimum: 1, maximum: 99 },
    isTrue: { type: 'boolean' },
  },
  required: ['title', 'animals', 'pages', 'isTrue'],
  additionalProperties: false,
} as const

const greedy: GenerateOptions = { temperature: 0, maxTokens: 200, responseFormat: { jsonSchema } }

function loadEngine(page: Page, device: Device): Promise<JSHandle<Engine>> {
  return page.evaluateHandle(
    ({ device, model }) => {
      const { createEngine, onnx, xgrammar } = window.rivulet
      return createEngine({ backend: onnx({ device, grammar: xgrammar() }), model })
    },
    { device, model: embeddedModel },
  )
}

interface Seen {
  readonly text: string
  readonly finishReason: string
}

async function answer(engine: JSHandle<Engine>, options: GenerateOptions): Promise<Seen> {
  return engine.evaluate(
    async (engine, { question, options }) => {
      const { text, finishReason } = await engine.generate(question, options).result
      return { text, finishReason }
    },
    { question, options },
  )
}

function expectStory({ text, finishReason }: Seen): void {
  expect(finishReason, text).toBe('stop')
  const value = JSON.parse(text) as Record<string, unknown>
  expect(Object.keys(value)).toEqual(['title', 'animals', 'pages', 'isTrue'])
  expect(Array.from(String(value.title)).length).toBeLessThanOrEqual(12)
  expect(value.pages).toBeGreaterThanOrEqual(1)
  expect(value.pages).toBeLessThanOrEqual(99)
}

const samplings: readonly GenerateOptions[] = [
  { temperature: 0 },
  { temperature: 1.5, seed: 1 },
  { temperature: 1.2, seed: 2, topK: 40, topP: 0.9, repetitionPenalty: 1.3 },
  { temperature: 1, seed: 3, minP: 0.05, frequencyPenalty: 0.5, logitBias: { 5: 3 } },
  { temperature: 1, seed: 4, topLogprobs: 2 },
]

for (const device of ['webgpu', 'wasm'] as const) {
  // contract.spec.ts has a form with all sampling options on WebGPU in CI, and gpu-sampler.browser.test.ts compares each of them
  // under a mask with the sampler of WASM. Which tokens a form allows does not depend on the device.
  const tag = device === 'webgpu' ? '@soak' : []
  test.describe(`responseFormat on ${device}`, { tag }, () => {
    let page: Page
    let engine: JSHandle<Engine>

    test.beforeAll(async ({ browser }) => {
      page = await openBarePage(await browser.newPage())
      engine = await loadEngine(page, device)
      expect(await engine.evaluate((engine) => engine.info.device)).toBe(device)
    })

    test.afterAll(() => page.close())

    test('an answer is valid with every sampler, and text without a form follows', async () => {
      for (const sampling of samplings) expectStory(await answer(engine, { ...greedy, ...sampling }))
      const { text } = await answer(engine, { temperature: 0, maxTokens: 5 })
      expect(text).toBe('Once upon a time,')
    })

    test('json, a pattern and a grammar hold, and an answer that reaches maxTokens ends with length', async () => {
      const hold = async (responseFormat: GenerateOptions['responseFormat'], maxTokens = 60) =>
        answer(engine, { ...greedy, temperature: 1, seed: 5, maxTokens, responseFormat })
      const { text } = await hold({ regex: '(cat|dog) [1-9]{2,4}' })
      expect(text).toMatch(/^(cat|dog) [1-9]{2,4}$/)
      const { text: poem } = await hold({
        grammar: 'root ::= line{2}\nline ::= ("the " | "a ") [a-z]{1,8} "\\n"',
      })
      expect(poem).toMatch(/^((the|a) [a-z]{1,8}\n){2}$/)
      expect((await hold('json')).text).toMatch(/^[[{]/)
      expect(await hold({ jsonSchema: { type: 'string', minLength: 100 } }, 8)).toMatchObject({
        finishReason: 'length',
      })
    })
  })
}

test('a form that cannot be held, and a worker without the engine, are refused by name', async ({ page }) => {
  await openBarePage(page)
  const seen = await page.evaluate(async (model) => {
    const { createEngine, onnx, xgrammar } = window.rivulet
    const read = (error: unknown) => {
      const { code, message, details } = error as { code: string; message: string; details: unknown }
      return { code, message, details }
    }
    const engine = await createEngine({ backend: onnx({ device: 'wasm', grammar: xgrammar() }), model })
    const jsonSchema = { type: 'array', items: { type: 'string' }, contains: { const: 'a' } }
    const refused = await engine.generate('Hi', { responseFormat: { jsonSchema } }).result.catch(read)
    const plain = await createEngine({ backend: onnx({ device: 'wasm' }), model })
    let missing: unknown
    try {
      plain.generate('Hi', { responseFormat: 'json' })
    } catch (error) {
      missing = read(error)
    }
    return { refused, missing }
  }, embeddedModel)
  expect(seen.refused).toEqual({
    code: 'invalid-option',
    message: '"responseFormat" cannot be held. The JSON schema uses "contains" at #, which cannot be held.',
    details: { option: 'responseFormat' },
  })
  expect(seen.missing).toMatchObject({
    code: 'invalid-option',
    message: expect.stringContaining('Install @mlc-ai/web-xgrammar'),
  })
})
