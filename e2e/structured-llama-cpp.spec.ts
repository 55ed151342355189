// Forms of the answer, tool calls and reasoning with llamaCpp(). docs/guides/structured-output.md compares the backends.
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import type { Engine, GenerateOptions, JsonSchema } from 'rivulet'
import { compileSchema } from '../workers/text/grammar/compile-schema.test-support.js'
import { openBarePage, type SeenError } from './bare-page.js'
import { hermesTemplate } from './hermes-template.js'
import { isSoak, scaleCount } from './soak.js'

const question = 'Tell me a story about a dragon.'

/** Ends by itself also with a model that knows no JSON: every part is bounded. */
const jsonSchema = {
  type: 'object',
  properties: {
    title: { type: 'string', maxLength: 24 },
    animals: { type: 'array', items: { enum: ['cat', 'dog', 'dragon'] }, minItems: 2, maxItems: 3 },
    pages: { type: 'integer', minimum: 1, maximum: 99 },
  },
  required: ['title', 'animals', 'pages'],
  additionalProperties: false,
} as const

const city = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 12 },
    zip: { type: 'integer', minimum: 0, maximum: 9999 },
  },
  required: ['name', 'zip'],
  additionalProperties: false,
} as const
const tools = [
  { name: 'look_up', description: 'Looks up a city.', parameters: city },
  { name: 'clock', parameters: { type: 'object', properties: {}, additionalProperties: false } },
]
function open(page: Page, more: { readonly chatTemplate?: string } = {}): Promise<JSHandle<Engine>> {
  return page.evaluateHandle((more) => {
    const { createEngine, llamaCpp } = window.rivulet
    const worker = window.createLlamaCppWorker
    const backend = llamaCpp({ threads: 1, contextLength: 1024, worker, ...more })
    return createEngine({ backend, model: './models/stories.gguf' })
  }, more)
}

interface Seen {
  readonly text: string
  readonly finishReason: string
  readonly recoveries: number
  readonly calls: readonly (readonly [name: string, args: string])[]
  /** What the reader had when the worker was terminated. */
  readonly streamed: string
  readonly error?: Pick<SeenError, 'code' | 'message'>
}

/** Answers, and terminates the worker when the reader has the chunk `breakAt`. */
function answer(engine: JSHandle<Engine>, options: GenerateOptions, breakAt?: number): Promise<Seen> {
  return engine.evaluate(
    async (engine, { question, options, breakAt }) => {
      try {
        const stream = engine.generate([{ role: 'user', content: question }], options)
        let text = ''
        let streamed = ''
        for await (const chunk of stream) {
          text += chunk.text
          if (chunk.index !== breakAt) continue
          streamed = text
          window.breakWorker('terminate')
        }
        const { finishReason, recoveries, toolCalls, ...result } = await stream.result
        const calls = toolCalls.map((call) => [call.name, call.arguments] as const)
        return { text: result.text, finishReason, recoveries, calls, streamed }
      } catch (error) {
        const { code, message, text } = error as SeenError
        return { text, finishReason: '', recoveries: 0, calls: [], streamed: '', error: { code, message } }
      }
    },
    { question, options, breakAt },
  )
}

const isStory = compileSchema(jsonSchema)
const isCity = compileSchema(city)

test('llamaCpp() holds a schema, JSON, a pattern and a grammar; and refuses what it cannot hold by name', async ({
  page,
}) => {
  await openBarePage(page)
  const engine = await open(page)
  for (const sampling of [
    { temperature: 0 },
    { temperature: 1.5, seed: 1 },
    { temperature: 1.5, seed: 2, topK: 0 },
  ]) {
    const { text, finishReason } = await answer(engine, {
      maxTokens: 200,
      responseFormat: { jsonSchema },
      ...sampling,
    })
    expect(finishReason, text).toBe('stop')
    expect(isStory(JSON.parse(text)), text).toBe(true)
  }
  const hold = (responseFormat: GenerateOptions['responseFormat'], maxTokens = 60) =>
    answer(engine, { temperature: 1, seed: 5, maxTokens, responseFormat })
  expect((await hold({ regex: '(cat|dog) [1-9]{2,4}' })).text).toMatch(/^(cat|dog) [1-9]{2,4}$/)
  const grammar = 'root ::= line{2}\nline ::= ("the " | "a ") [a-z]{1,8} "\\n"'
  expect((await hold({ grammar })).text).toMatch(/^((the|a) [a-z]{1,8}\n){2}$/)
  expect((await hold('json')).text).toMatch(/^[[{]/)
  expect(await hold({ jsonSchema: { type: 'string', minLength: 100 } }, 8)).toMatchObject({
    finishReason: 'length',
  })
  const refused = await hold({ jsonSchema: { type: 'array', contains: { const: 'a' } } })
  expect(refused.error).toMatchObject({
    code: 'invalid-option',
    message: expect.stringMatching(/"responseFormat" cannot be held.*"contains"/),
  })
  const missing = await answer(engine, { tools })
  expect(missing.error).toMatchObject({ code: 'invalid-option', message: expect.stringContaining('"tools"') })
  expect((await answer(engine, { temperature: 0, maxTokens: 5 })).text).toBe('Once upon a time,')
})

test('llamaCpp() calls tools as the request demands, with arguments that are valid', async ({ page }) => {
  await openBarePage(page)
  const engine = await open(page, { chatTemplate: hermesTemplate })
  for (let seed = 1; seed <= scaleCount(4, 100); seed += 1) {
    const { finishReason, calls, text } = await answer(engine, {
      tools,
      toolChoice: 'required',
      temperature: 1.5,
      seed,
      maxTokens: 300,
      parallelToolCalls: seed % 2 === 0,
    })
    expect(text).toBe('')
    if (finishReason === 'length') continue
    expect(finishReason).toBe('tool-calls')
    if (seed % 2 === 1) expect(calls).toHaveLength(1)
    for (const [name, args] of calls) {
      const value = JSON.parse(args) as object
      if (name === 'look_up') expect(isCity(value), args).toBe(true)
      else expect([name, value]).toEqual(['clock', {}])
    }
  }
  const named = { tools, toolChoice: { name: 'look_up' }, temperature: 0, maxTokens: 100 } as const
  expect((await answer(engine, named)).calls).toEqual([['look_up', expect.any(String)]])
  const none = await answer(engine, { tools, toolChoice: 'none', temperature: 0, maxTokens: 8 })
  expect(none).toMatchObject({ calls: [], finishReason: 'length' })
})

const freeText: readonly GenerateOptions[] = [
  { temperature: 1.5, seed: 4, maxTokens: 20 },
  { temperature: 0, maxTokens: 30 },
]

test('a JSON answer and a tool call of llamaCpp() have the same values after the loss of the worker', async ({
  page,
}) => {
  test.setTimeout(900_000)
  await openBarePage(page)
  const engine = await open(page, { chatTemplate: hermesTemplate })
  const demands: readonly GenerateOptions[] = [
    { temperature: 0, maxTokens: 200, responseFormat: { jsonSchema } },
    { temperature: 0, maxTokens: 200, tools, toolChoice: { name: 'look_up' } },
    { temperature: 1.5, seed: 3, maxTokens: 200, responseFormat: { jsonSchema } },
    ...(isSoak ? freeText : []),
  ]
  const points = [9, 2, 14, 5, 11, 7, 3, 12, 1, 8, 4, 10, 6, 13, 9, 2, 11, 5, 7, 1]
  for (const options of demands) {
    const undisturbed = await answer(engine, options)
    if (options.responseFormat) expect(isStory(JSON.parse(undisturbed.text)), undisturbed.text).toBe(true)
    for (const at of points.slice(0, scaleCount(1, points.length))) {
      const seen = await answer(engine, options, at)
      expect({ ...seen, streamed: '' }, `lost at chunk ${at}`).toEqual({ ...undisturbed, recoveries: 1 })
      expect(undisturbed.text.startsWith(seen.streamed), `lost at chunk ${at}`).toBe(true)
    }
  }
})

const schemas = resolve(import.meta.dirname, '../../shared/data/json-schemas/schemas.json')

test('answers of llamaCpp() in 200 real schemas validate', { tag: '@soak' }, async ({ page }) => {
  test.skip(!existsSync(schemas), 'The schemas are not on this machine (../shared/data/json-schemas).')
  test.setTimeout(7_200_000)
  await openBarePage(page)
  const engine = await open(page)
  const all = JSON.parse(readFileSync(schemas, 'utf8')) as { name: string; schema: JsonSchema }[]
  const refused = new Set<string>()
  let ended = 0
  for (const { name, schema } of all) {
    const isValid = compileSchema(schema)
    for (const seed of isSoak ? [1, 2, 3, 4, 5] : [1]) {
      const options = {
        responseFormat: { jsonSchema: { ...schema } },
        temperature: 1.5,
        seed,
        maxTokens: 300,
      }
      const { text, finishReason, error } = await answer(engine, options)
      if (error) {
        expect(error, name).toMatchObject({ code: 'invalid-option' })
        refused.add(name)
        break
      }
      if (finishReason !== 'stop') continue
      ended += 1
      expect(isValid(JSON.parse(text)), `${name}: ${text}`).toBe(true)
    }
  }
  // oxlint-disable-next-line no-console -- the figures of a soak
  console.info(`${ended} answers ended by themselves. Refused: ${[...refused].join(', ') || 'none'}.`)
  expect(refused.size).toBeLessThanOrEqual(all.length * 0.05)
  expect(ended).toBeGreaterThan(all.length / 2)
})
