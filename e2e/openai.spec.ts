// OpenAI's unchanged client, answered by an engine of this page.
import { expect, test, type JSHandle } from '@playwright/test'
import type OpenAI from 'openai'
import { loadEngine, openBarePage } from './bare-page.js'

interface Clients {
  readonly client: OpenAI
  readonly engine: Awaited<ReturnType<typeof window.rivulet.createEngine>>
}

let clients: JSHandle<Clients>
test.beforeEach(async ({ page }) => {
  await openBarePage(page, { hasClients: true })
  const engine = await loadEngine(page, 'wasm')
  clients = await engine.evaluateHandle((engine) => {
    const { OpenAI, rivulet } = window
    const fetch = rivulet.openaiFetch(engine)
    const options = {
      baseURL: 'https://local.example/v1',
      apiKey: 'local',
      dangerouslyAllowBrowser: true,
      maxRetries: 0,
    }
    return { engine, client: new OpenAI({ ...options, fetch }) }
  })
})

const question = [{ role: 'user', content: 'Tell me a story about a dragon.' }] as const
const asked = { model: 'local', temperature: 0, max_tokens: 12 } as const

test('a chat streams through the client, with roles, finish reason and usage', async () => {
  const seen = await clients.evaluate(
    async ({ client, engine }, { question, asked }) => {
      const messages = [...question]
      const stream = await client.chat.completions.create({
        ...asked,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      })
      const chunks: OpenAI.ChatCompletionChunk[] = []
      for await (const chunk of stream) chunks.push(chunk)
      const direct = await engine.generate(messages, { temperature: 0, maxTokens: 12 }).result
      return { chunks, direct }
    },
    { question, asked },
  )
  const { chunks, direct } = seen
  expect(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('')).toBe(direct.text)
  expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' })
  expect(chunks.length).toBeGreaterThan(12)
  expect(new Set(chunks.map(({ id, object }) => `${id} ${object}`)).size).toBe(1)
  expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' })
  expect(chunks.at(-1)).toMatchObject({
    choices: [],
    usage: {
      prompt_tokens: direct.usage.promptTokens,
      completion_tokens: 12,
      total_tokens: direct.usage.promptTokens + 12,
    },
  })
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
})

test('a chat and a completion work without streaming, with log-probabilities on request', async () => {
  const seen = await clients.evaluate(
    async ({ client, engine }, { question, asked }) => {
      const messages = [...question]
      const chat = await client.chat.completions.create({
        ...asked,
        messages,
        logprobs: true,
        top_logprobs: 2,
      })
      const completion = await client.completions.create({ ...asked, prompt: 'Once upon a time' })
      const raw = { temperature: 0, maxTokens: 12, applyChatTemplate: false } as const
      const direct = await engine.generate('Once upon a time', raw).text()
      return { chat, completion, direct }
    },
    { question, asked },
  )
  const { chat, completion, direct } = seen
  expect(chat).toMatchObject({ object: 'chat.completion', model: 'local', usage: { completion_tokens: 12 } })
  expect(chat.choices[0]).toMatchObject({ finish_reason: 'length', message: { role: 'assistant' } })
  const tokens = chat.choices[0]!.logprobs!.content!
  expect(tokens.map(({ token }) => token).join('')).toBe(chat.choices[0]!.message.content)
  expect(tokens[0]!.top_logprobs).toHaveLength(2)
  expect(completion).toMatchObject({ object: 'text_completion', choices: [{ text: direct }] })
})

test('aborting cancels the generation, and the next one runs', async () => {
  const seen = await clients.evaluate(async ({ client, engine }, question) => {
    const messages = [...question]
    const stream = await client.chat.completions.create({ model: 'local', messages, stream: true })
    let chunks = 0
    for await (const _ of stream) {
      chunks += 1
      if (chunks === 4) stream.controller.abort()
    }
    // Waits in the queue. It would wait for ever if the aborted generation still ran.
    const next = await engine.generate('Hello', { maxTokens: 2 }).text()
    const early = AbortSignal.abort()
    const isAborted = await client.chat.completions
      .create({ model: 'local', messages }, { signal: early })
      .then(
        () => false,
        (error: unknown) => error instanceof window.OpenAI.APIUserAbortError,
      )
    return { chunks, next, isAborted }
  }, question)
  expect(seen.chunks).toBeLessThan(10)
  expect(seen.next).not.toBe('')
  expect(seen.isAborted).toBe(true)
})

test('disposing the engine during an answer is an error, never a normal end', async () => {
  const seen = await clients.evaluate(async ({ client, engine }, question) => {
    const messages = [...question]
    const fail = (work: Promise<unknown>) =>
      work.then(
        () => 'ended',
        (error: unknown) => (error as { code?: string }).code,
      )
    const stream = await client.chat.completions.create({ model: 'local', messages, stream: true })
    let text = ''
    const streamed = (async () => {
      for await (const { choices } of stream) {
        text += choices[0]?.delta.content ?? ''
        if (text !== '') void engine.dispose()
      }
    })()
    // Waits in the queue after the stream, and fails when the engine is disposed.
    const whole = client.chat.completions.create({ model: 'local', messages }, { maxRetries: 0 })
    return { streamed: await fail(streamed), whole: await fail(whole), text }
  }, question)
  expect(seen).toMatchObject({ streamed: 'engine-disposed', whole: 'engine-disposed' })
  expect(seen.text).not.toBe('')
})

test('a refused request is the client’s own error, with the name of the field', async () => {
  const seen = await clients.evaluate(async ({ client }, question) => {
    const messages = [...question]
    const fail = async (body: object) => {
      try {
        await client.chat.completions.create({ model: 'local', messages, ...body } as never)
        return 'answered'
      } catch (error) {
        const { status, code, param } = error as { status: number; code: string; param: string }
        return { status, code, param }
      }
    }
    return {
      tools: await fail({ tools: [{ type: 'function', function: { name: 'look' } }] }),
      n: await fail({ n: 0 }),
      model: await fail({ model: 'gpt-4o' }),
      temperature: await fail({ temperature: -1 }),
      maxTokens: await fail({ max_tokens: 0 }),
      maxCompletionTokens: await fail({ max_completion_tokens: 0, stream: true }),
      topP: await fail({ top_p: 2 }),
      role: await fail({ messages: [{ role: 'function', name: 'look', content: 'Hello' }] }),
      toolMessage: await fail({ messages: [{ role: 'tool', tool_call_id: 'a', content: 'Hello' }] }),
      unknownToken: await fail({ logit_bias: { 4294967295: 1 }, stream: true }),
      image: await fail({
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
      }),
      tooLong: await fail({ messages: [{ role: 'user', content: 'many words '.repeat(2000) }] }),
      tooLongStream: await fail({
        messages: [{ role: 'user', content: 'many words '.repeat(2000) }],
        stream: true,
      }),
    }
  }, question)
  expect(seen).toEqual({
    tools: { status: 400, code: 'invalid_value', param: 'tools' },
    n: { status: 400, code: 'invalid_value', param: 'n' },
    model: { status: 404, code: 'model_not_found', param: null },
    temperature: { status: 400, code: 'invalid_value', param: 'temperature' },
    maxTokens: { status: 400, code: 'invalid_value', param: 'max_tokens' },
    maxCompletionTokens: { status: 400, code: 'invalid_value', param: 'max_completion_tokens' },
    topP: { status: 400, code: 'invalid_value', param: 'top_p' },
    role: { status: 400, code: 'invalid_value', param: 'messages[0].role' },
    toolMessage: { status: 400, code: 'invalid_value', param: 'messages[0].tool_call_id' },
    unknownToken: { status: 400, code: 'invalid_value', param: 'logit_bias' },
    image: { status: 400, code: 'invalid_value', param: 'messages[0].content' },
    tooLong: { status: 400, code: 'context_length_exceeded', param: null },
    tooLongStream: { status: 400, code: 'context_length_exceeded', param: null },
  })
})

test('a failure during the stream is the client’s error after the text so far', async ({ page }) => {
  const seen = await page.evaluate(async () => {
    const { OpenAI, rivulet, createScriptedEngine } = window
    const fetch = rivulet.openaiFetch(await createScriptedEngine())
    const client = new OpenAI({
      baseURL: 'https://local.example/v1',
      apiKey: 'local',
      dangerouslyAllowBrowser: true,
      fetch,
    })
    const stream = await client.completions.create({
      model: 'local',
      prompt: 'Once upon a fail',
      stream: true,
    })
    let text = ''
    try {
      for await (const { choices } of stream) text += choices[0]?.text ?? ''
      return { text, message: 'ended' }
    } catch (error) {
      return { text, message: (error as Error).message }
    }
  })
  expect(seen.text).toBe('Once upon a')
  expect(seen.message).toContain('the runtime broke')
})

test('the models are listed, and an unknown route is not found', async () => {
  const seen = await clients.evaluate(async ({ client }) => {
    const models = await client.models.list()
    const status = await client.files.list().then(
      () => 200,
      (error: { status: number }) => error.status,
    )
    return { models: models.data, status }
  })
  expect(seen.models).toMatchObject([{ id: 'local', object: 'model', owned_by: 'onnx', max_model_len: 512 }])
  expect(seen.status).toBe(404)
})

test('the client’s helpers work with a real model: events, streams, responses, request ids, a timeout', async () => {
  const seen = await clients.evaluate(
    async ({ client, engine }, { question, asked }) => {
      const messages = [...question]
      const direct = await engine.generate(messages, { temperature: 0, maxTokens: 12 }).text()
      const helper = client.chat.completions.stream({ ...asked, messages })
      let content = ''
      helper.on('content', (delta) => (content += delta))
      const final = await helper.finalContent()
      const readable = client.chat.completions.stream({ ...asked, messages }).toReadableStream()
      const lines = (await new Response(readable).text()).trim().split('\n')
      const sent = lines.map(
        (line) => (JSON.parse(line) as OpenAI.ChatCompletionChunk).choices[0]?.delta.content ?? '',
      )
      const { data, request_id } = await client.chat.completions.create({ ...asked, messages }).withResponse()
      const request = { model: 'local', input: question[0].content, temperature: 0, max_output_tokens: 12 }
      const response = await client.responses.create(request)
      const events: string[] = []
      for await (const event of await client.responses.create({ ...request, stream: true })) {
        if (event.type === 'response.output_text.delta') events.push(event.delta)
      }
      const isTimedOut = await client.chat.completions
        .create({ model: 'local', messages, max_tokens: 400 }, { timeout: 30 })
        .then(
          () => false,
          (error: unknown) => error instanceof window.OpenAI.APIConnectionTimeoutError,
        )
      // Waits in the queue. It would wait for ever if the generation of the timed-out request still ran.
      const next = await engine.generate('Hello', { maxTokens: 2 }).text()
      const model = await client.models.retrieve('local')
      const texts = [
        content,
        final ?? '',
        sent.join(''),
        data.choices[0]?.message.content,
        response.output_text,
        events.join(''),
      ]
      return { direct, texts, request_id, status: response.status, isTimedOut, next, model: model.id }
    },
    { question, asked },
  )
  expect(seen.texts).toEqual(Array.from({ length: 6 }, () => seen.direct))
  expect(seen).toMatchObject({ status: 'incomplete', isTimedOut: true, model: 'local' })
  expect(seen.request_id).toMatch(/^req_/)
  expect(seen.next).not.toBe('')
})
