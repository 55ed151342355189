import { beforeAll, describe, expect, test } from 'vitest'
import type { RequestFormat, RequestOptions } from '../../lib/contract/request.js'
import { plainFamily } from '../text/channels/answer-family.js'
import { encodeForced } from '../text/grammar/forced-tokens.js'
import { textRequest } from '../request.test-support.js'
import { openAnswerForm } from './answer-form.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

const isSoak = Number(process.env.RIVULET_SOAK ?? 1) > 1
const prompt = 'Once upon a time'
const responseFormat: RequestFormat = {
  kind: 'json-schema',
  schema: {
    type: 'object',
    properties: {
      title: { type: 'string', minLength: 2, maxLength: 16 },
      animals: { type: 'array', items: { enum: ['cat', 'dog', 'dragon'] }, minItems: 2, maxItems: 3 },
      isTrueStory: { type: 'boolean' },
    },
    required: ['title', 'animals', 'isTrueStory'],
  },
}

let model: NodeModel
beforeAll(async () => {
  model = await openNodeModel('demo/public/models/stories')
}, 60_000)

const samplings: Partial<RequestOptions>[] = [
  { temperature: 0 },
  { temperature: 1.3, seed: 7, repetitionPenalty: 1.2, topK: 60 },
]

describe.each(samplings)('with %o', (sampling) => {
  const options = { responseFormat, maxTokens: 120, ...sampling }

  test('an answer that is resumed after any token is the same', { timeout: 120_000 }, async () => {
    const whole = await model.answer(prompt, options)
    expect(whole.end).toBe('stop')
    expect(Object.keys(JSON.parse(whole.text) as object)).toEqual(['title', 'animals', 'isTrueStory'])
    for (let length = 1; length < whole.ids.length; length += isSoak ? 1 : 4) {
      const resumed = await model.answer(prompt, options, whole.ids.slice(0, length))
      expect(resumed, `after ${length} tokens`).toEqual(whole)
    }
  })

  test('forced text takes no step of the model', { timeout: 60_000 }, async () => {
    const { decoder } = model
    let steps = 0
    const { next } = decoder
    decoder.next = (...parameters) => {
      steps += 1
      return next(...parameters)
    }
    const jumped = await model.answer(prompt, options)
    const jumpedSteps = steps
    // With logprobs, there are no jumps.
    const stepped = await model.answer(prompt, { ...options, topLogprobs: 0 })
    decoder.next = next
    expect(jumpedSteps).toBeLessThan(jumped.ids.length * 0.75)
    expect(steps - jumpedSteps).toBe(stepped.ids.length + 1)
    for (const { text } of [jumped, stepped])
      expect(Object.keys(JSON.parse(text) as object)).toEqual(['title', 'animals', 'isTrueStory'])
  })
})

const emptyStart = {
  place: { family: plainFamily, isInThought: false, canThink: false },
  written: [],
  handedOver: [],
}

test('forced tokens are those that the tokenizer writes, whatever follows', async () => {
  const { tokenizer } = model.config
  const start = await tokenizer.encode([{ text: '{"title": "The', isContent: true }])
  const forced = await encodeForced(tokenizer, start, '", "animals": ["')
  expect(forced.length).toBeGreaterThan(3)
  for (const next of ['cat"]', '1', ' x', '"]}']) {
    const all = await tokenizer.encode([{ text: `{"title": "The", "animals": ["${next}`, isContent: true }])
    expect(all.slice(0, start.length + forced.length)).toEqual([...start, ...forced])
  }
})

test('a handed-over text continues in the form, and a text without the form is refused', async () => {
  const open = (text: string) =>
    openAnswerForm(model.compiler, model.config, textRequest(prompt, { responseFormat }), {
      ...emptyStart,
      handedOver: [{ text, isContent: true }],
    })
  const form = await open('{"title": "Th')
  const next = await form!.findMask()
  const [quote] = await model.config.tokenizer.encode([{ text: '"', isContent: true }])
  expect((next![quote! >>> 5]! >>> (quote! & 31)) & 1).toBe(1)
  form!.release()
  await expect(open('Once')).rejects.toMatchObject({ code: 'generation-failed' })
})

test('a message that the caller starts is continued in the form, and one without the form is refused', async () => {
  const open = (start: string) =>
    openAnswerForm(model.compiler, model.config, textRequest(prompt, { responseFormat }), {
      ...emptyStart,
      written: [{ text: start, isContent: true }],
    })
  const form = await open('{"title": "Th')
  expect(await form!.findMask()).toBeDefined()
  form!.release()
  await expect(open('Once')).rejects.toMatchObject({ code: 'invalid-option' })
})

test('an answer that reaches maxTokens ends with length, and its text is the start of a value', async () => {
  const { text, end, ids } = await model.answer(prompt, { responseFormat, maxTokens: 6, temperature: 0 })
  expect(end).toBe('length')
  expect(ids).toHaveLength(6)
  expect(text).toMatch(/^\{"tit/)
})

test('control tokens and end tokens are not part of a form', async () => {
  const form = await openAnswerForm(
    model.compiler,
    model.config,
    textRequest(prompt, { responseFormat: { kind: 'json' } }),
    { ...emptyStart, handedOver: [{ text: '{"title": "', isContent: true }] },
  )
  const mask = await form!.findMask()
  form!.release()
  const { tokenizer, endIds } = model.config
  for (let id = 0; id < tokenizer.size; id += 1) {
    const isAllowed = ((mask![id >>> 5]! >>> (id & 31)) & 1) === 1
    if (tokenizer.readControlText(id) !== undefined || endIds.has(id)) expect(isAllowed).toBe(false)
  }
})
