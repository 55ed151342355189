// Real schemas of zod, valibot and ArkType, with a scripted engine.
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { createScriptedEngine, type Script } from './chat/scripted-engine.test-support.js'
import { RivuletError, type RivuletErrorOf } from './contract/errors.js'
import type { GenerateOptions, ResponseFormat } from './contract/request.js'
import type { TokenStream } from './token-stream.js'

const json = '{"city":"Bern","days":3}'
const words = json.split(/(?<=[:,])/)
const open = (script: Script = { words }) => createScriptedEngine(() => script)

const schemas = {
  zod: z.object({ city: z.string(), days: z.number() }),
  valibot: toStandardJsonSchema(v.object({ city: v.string(), days: v.number() })),
  arktype: type({ city: 'string', days: 'number' }),
}

const invalid = (reason: string) =>
  expect.objectContaining({ code: 'value-invalid', message: expect.stringContaining(reason) })
const refusal = (reason: string) =>
  expect.objectContaining({
    code: 'invalid-option',
    message: expect.stringContaining(reason),
    details: { option: 'responseFormat' },
  })

describe('an answer with a form', () => {
  it.each(Object.entries(schemas))(
    'has the value of its schema, and the engine gets its JSON schema: %s',
    async (_, schema) => {
      const engine = open()
      const { value, partialValue, text } = await engine.generate('Where?', { responseFormat: schema }).result
      expect(value).toEqual({ city: 'Bern', days: 3 })
      expect([partialValue, text]).toEqual([undefined, json])
      expect(engine.requests[0]?.options.responseFormat).toMatchObject({
        kind: 'json-schema',
        schema: {
          type: 'object',
          properties: { city: { type: 'string' }, days: { type: 'number' } },
          required: ['city', 'days'],
        },
      })
    },
  )

  it('has the output of transforms and of asynchronous checks; the model gets the schema of their input', async () => {
    const schema = z.object({
      city: z
        .string()
        .refine(async (city) => city !== 'Atlantis')
        .transform((city) => city.length),
    })
    const engine = open({ words: ['{"city":"Bern"}'] })
    const { value } = await engine.generate('Where?', { responseFormat: schema }).result
    expectTypeOf(value).toEqualTypeOf<{ city: number } | undefined>()
    expect(value).toEqual({ city: 4 })
    expect(engine.requests[0]?.options.responseFormat).toMatchObject({
      schema: { properties: { city: { type: 'string' } } },
    })
  })

  it.each<[ResponseFormat, string, unknown]>([
    ['json', '[1]', [1]],
    [{ jsonSchema: { type: 'number' } }, '12', 12],
    [{ regex: /[a-z]+/ }, 'abc', 'abc'],
    [{ grammar: 'root ::= "abc"' }, 'abc', 'abc'],
  ])('has its value: %j', async (responseFormat, text, value) => {
    const engine = open({ words: [...text] })
    expect((await engine.generate('?', { responseFormat }).result).value).toEqual(value)
  })

  it('that is not valid rejects the result with its problems and its text; the stream has all chunks', async () => {
    const engine = open({ words: ['{"city":5', ',"days":3}'] })
    const stream = engine.generate('Where?', { responseFormat: schemas.zod })
    expect(await stream.text()).toBe('{"city":5,"days":3}')
    await expect(stream.result).rejects.toThrow(invalid('city: '))
    await expect(stream.result).rejects.toMatchObject({
      text: '{"city":5,"days":3}',
      details: { issues: [{ path: ['city'] }] },
    })
  })

  it.each(Object.entries(schemas))('that is not valid has problems as plain data: %s', async (_, schema) => {
    const engine = open({ words: ['{"city":"Bern","days":"three"}'] })
    const { result } = engine.generate('Where?', { responseFormat: schema })
    const error: unknown = await result.catch((thrown: unknown) => thrown)
    expect(error).toEqual(invalid('days: '))
    const { details } = error as RivuletErrorOf<'value-invalid'>
    expect(details.issues).toStrictEqual([{ message: expect.any(String), path: ['days'] }])
  })

  it('that continues a message has the value of the whole message', async () => {
    const [start = '', ...rest] = words
    const engine = open({ words: rest })
    const messages = [
      { role: 'user', content: 'Where?' },
      { role: 'assistant', content: start },
    ] as const
    const options = { responseFormat: schemas.zod, continueFinalMessage: true }
    const { text, value } = await engine.generate(messages, options).result
    expect([text, value]).toEqual([rest.join(''), { city: 'Bern', days: 3 }])
    const values: unknown[] = []
    for await (const each of engine.generate(messages, options).partialValues()) values.push(each)
    expect(values.at(-1)).toEqual({ city: 'Bern', days: 3 })
  })

  it('that is not JSON, or whose check throws, rejects the result', async () => {
    const cut = open({ words: ['{"city":'] }).generate('?', { responseFormat: 'json' })
    await expect(cut.result).rejects.toThrow(invalid('not valid JSON'))
    const throwing = z.string().refine(() => {
      throw new Error('mine')
    })
    const stream = open({ words: ['"x"'] }).generate('?', { responseFormat: throwing })
    await expect(stream.result).rejects.toThrow(invalid('mine'))
  })

  it('that ends at its limit, or is cancelled, has the value so far, and no value', async () => {
    const cut = { city: 'Be' }
    const limited = open({ words: ['{"city":"Be'], end: 'length' }).generate('?', {
      responseFormat: schemas.zod,
    })
    expect(await limited.result).toMatchObject({ finishReason: 'length', partialValue: cut })
    expect((await limited.result).value).toBeUndefined()
    const cancelled = open({ words: ['{"city":"Be'], end: 'silence' }).generate('?', {
      responseFormat: schemas.zod,
    })
    for await (const _ of cancelled) break
    expect(await cancelled.result).toMatchObject({ finishReason: 'cancelled', partialValue: cut })
    const text = open({ words: ['ab'], end: 'length' }).generate('?', { responseFormat: { regex: 'a.*z' } })
    expect(await text.result).toMatchObject({ partialValue: 'ab' })
  })

  it('that calls tools instead has no value', async () => {
    const toolCalls = [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{}' }]
    const engine = open({ words: [{ toolCalls }], end: 'tool-calls' })
    const options = { responseFormat: schemas.zod, tools: [{ name: 'look' }] }
    expect(await engine.generate('?', options).result).toMatchObject({
      finishReason: 'tool-calls',
      toolCalls: [{ name: 'look' }],
    })
  })
})

describe('partial values', () => {
  it('grow with the stream', async () => {
    const values: unknown[] = []
    for await (const value of open().generate('?', { responseFormat: schemas.zod }).partialValues()) {
      expectTypeOf(value).toEqualTypeOf<{ readonly city?: string; readonly days?: number }>()
      values.push(value)
    }
    expect(values).toEqual([{}, { city: 'Bern' }, { city: 'Bern', days: 3 }])
  })

  it('of a pattern or grammar are the text so far', async () => {
    const values: string[] = []
    const stream = open({ words: ['a', 'b'] }).generate('?', { responseFormat: { regex: '[ab]+' } })
    for await (const value of stream.partialValues()) values.push(value)
    expect(values).toEqual(['a', 'ab'])
  })

  it('lock the stream, and cancel the generation when their loop is left', async () => {
    const stream = open({ words: ['[', '1,'], end: 'silence' }).generate('?', { responseFormat: 'json' })
    for await (const value of stream.partialValues()) {
      expect(stream.locked).toBe(true)
      if ((value as unknown[]).length > 0) break
    }
    expect(await stream.result).toMatchObject({ finishReason: 'cancelled', partialValue: [1] })
  })

  it('cancel the generation also before the first value', async () => {
    const stream = open({ words: ['['], end: 'silence' }).generate('?', { responseFormat: 'json' })
    const values = stream.partialValues()
    await values.return?.()
    expect(stream.locked).toBe(false)
    expect(await stream.result).toMatchObject({ finishReason: 'cancelled' })
  })

  it('fail with the stream', async () => {
    const end = new RivuletError('generation-failed', 'It broke.')
    const values = open({ words: ['[1,'], end })
      .generate('?', { responseFormat: 'json' })
      .partialValues()
    expect(await values.next()).toEqual({ done: false, value: [1] })
    await expect(values.next()).rejects.toMatchObject({ code: 'generation-failed', text: '[1,' })
  })

  it('need a form', () => {
    const stream = open().generate('?')
    expect(() => stream.partialValues()).toThrow(refusal('needs the option "responseFormat"'))
    expect(stream.locked).toBe(false)
  })
})

describe('the types of a value', () => {
  it('come from the form', () => {
    // Never called: only its types are checked.
    const check = (
      engine: ReturnType<typeof open>,
      options: GenerateOptions,
      maybe: typeof schemas.zod | undefined,
    ) => {
      const valueOf = async <Value, Partial>(stream: TokenStream<Value, Partial>) =>
        (await stream.result).value
      type City = { city: string; days: number }
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: schemas.zod }))).resolves.toEqualTypeOf<
        City | undefined
      >()
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: schemas.valibot }))).resolves.toEqualTypeOf<
        City | undefined
      >()
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: schemas.arktype }))).resolves.toEqualTypeOf<
        City | undefined
      >()
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: maybe }))).resolves.toEqualTypeOf<
        City | undefined
      >()
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: { regex: /a/ } }))).resolves.toEqualTypeOf<
        string | undefined
      >()
      expectTypeOf(valueOf(engine.generate('?', { responseFormat: { grammar: '' } }))).resolves.toEqualTypeOf<
        string | undefined
      >()
      expectTypeOf(
        valueOf(engine.generate('?', { responseFormat: 'json' })),
      ).resolves.toEqualTypeOf<unknown>()
      expectTypeOf(
        valueOf(engine.generate('?', { responseFormat: { jsonSchema: {} } })),
      ).resolves.toEqualTypeOf<unknown>()
      expectTypeOf(valueOf(engine.generate('?', options))).resolves.toEqualTypeOf<unknown>()
      expectTypeOf(valueOf(engine.generate('?', { temperature: 0 }))).resolves.toEqualTypeOf<undefined>()
      expectTypeOf(valueOf(engine.generate('?'))).resolves.toEqualTypeOf<undefined>()
      // @ts-expect-error: not a form
      engine.generate('?', { responseFormat: 'yaml' })
      // @ts-expect-error: the value may be missing
      void engine.generate('?', { responseFormat: schemas.zod }).result.then(({ value }) => value.city)
      const color = z.object({ color: z.enum(['red', 'green']), at: z.array(z.object({ x: z.number() })) })
      // A partial string may be the start of a literal.
      expectTypeOf(engine.generate('?', { responseFormat: color }).partialValues()).toEqualTypeOf<
        AsyncIterableIterator<
          { readonly color?: string; readonly at?: readonly { readonly x?: number }[] },
          undefined
        >
      >()
    }
    expect(check).toBeTypeOf('function')
  })
})

describe('a schema is refused before any work', () => {
  const other = {
    '~standard': { version: 1, vendor: 'other', validate: () => ({ value: 1 }) },
  } as StandardSchemaV1
  const looping = {
    '~standard': { ...other['~standard'], jsonSchema: { input: () => ({ $ref: '#' }) } },
  } as StandardSchemaV1
  const listing = {
    '~standard': { ...other['~standard'], jsonSchema: { input: () => [] } },
  } as StandardSchemaV1
  let nested: object = { type: 'string' }
  for (let depth = 0; depth < 70; depth += 1) nested = { items: nested }

  it.each<[string, unknown, string]>([
    ['of valibot without a JSON schema', v.string(), 'toStandardJsonSchema() of @valibot/to-json-schema'],
    ['of another library without a JSON schema', other, 'a version of "other"'],
    [
      'that JSON schema cannot express',
      z.object({ at: z.date() }),
      'The zod schema of "responseFormat" has no JSON schema',
    ],
    ['that gives something else', listing, 'must be an object'],
    ['that refers to itself', looping, 'refers to itself'],
    ['that is too deep', { jsonSchema: nested }, '64 levels'],
    ['that is too long', { jsonSchema: { enum: ['x'.repeat(2 ** 18)] } }, '262144 characters'],
    ['that contains a function', { jsonSchema: { default: () => {} } }, 'values of JSON'],
    ['with half a character', { jsonSchema: { const: '\ud800' } }, 'surrogate'],
    ['that is none', { schema: {} }, 'Standard Schema'],
    ['of two kinds', { regex: 'a', grammar: 'b' }, 'Standard Schema'],
    ['that is an empty pattern', { regex: '' }, 'characters'],
    ['with flags', { regex: /a/i }, 'flags'],
  ])('%s', (_, responseFormat, reason) => {
    const engine = open()
    expect(() => engine.generate('?', { responseFormat: responseFormat as ResponseFormat })).toThrow(
      refusal(reason),
    )
    expect(engine.requests).toEqual([])
  })
})
