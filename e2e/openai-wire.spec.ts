// Recorded responses, checked against OpenAI's published types and parsed by two clients.
import { expect, test, type JSHandle, type Page } from '@playwright/test'
import { createParser } from 'eventsource-parser'
import type { Engine } from 'rivulet'
import { loadEngine, openBarePage } from './bare-page.js'
import { checkTypes } from './check-types.js'

/** Returns the response body of the page's `openaiFetch`. */
function record(engine: JSHandle<Engine>, path: string, body?: object): Promise<string> {
  return engine.evaluate(
    async (engine, { path, body }) => {
      const fetch = window.rivulet.openaiFetch(engine)
      const asked = body && { method: 'POST', body: JSON.stringify({ model: 'local', ...body }) }
      const response = await fetch(`https://local.example/v1/${path}`, asked)
      return response.text()
    },
    { path, body },
  )
}

/** Returns the events of a recording, which must end with `[DONE]`. */
function readEvents(recording: string): object[] {
  const events: string[] = []
  createParser({ onEvent: ({ data }) => void events.push(data) }).feed(recording)
  expect(events.pop()).toBe('[DONE]')
  return events.map((event) => JSON.parse(event) as object)
}

const messages = [{ role: 'user', content: 'Tell me a story about a dragon.' }]
const greedy = { temperature: 0, max_tokens: 12 }
const streamed = { ...greedy, stream: true, stream_options: { include_usage: true } }
const responseType = 'OpenAI.Responses.Response'
const completion = { prompt: 'Once upon a time' }

test.describe('of the embedded model', () => {
  let engine: JSHandle<Engine>
  test.beforeEach(async ({ page }) => {
    await openBarePage(page, { hasClients: true })
    engine = await loadEngine(page, 'wasm')
  })

  test('recorded chats satisfy the types of the openai package', async () => {
    const check = (name: string, values: readonly object[], type: string) =>
      checkTypes(test.info().outputPath(`${name}.ts`), values, type)
    for (const more of [{}, { logprobs: true, top_logprobs: 2 }]) {
      const chunks = readEvents(await record(engine, 'chat/completions', { messages, ...streamed, ...more }))
      expect(chunks.length).toBeGreaterThan(12)
      expect(check('chunks', chunks, 'OpenAI.ChatCompletionChunk')).toEqual([])
      const whole = JSON.parse(await record(engine, 'chat/completions', { messages, ...greedy, ...more }))
      expect(check('whole', [whole], 'OpenAI.ChatCompletion')).toEqual([])
      // Shows that the check can fail.
      const wrong = JSON.parse(JSON.stringify(chunks).replaceAll('"length"', '"cancelled"')) as object[]
      expect(check('wrong', wrong, 'OpenAI.ChatCompletionChunk')).toEqual(['finish_reason: "cancelled"'])
    }
  })

  test('recorded completions do too, except for nulls while streaming, which vLLM sends too', async () => {
    const chunks = readEvents(await record(engine, 'completions', { ...completion, ...streamed }))
    expect(chunks.length).toBeGreaterThan(12)
    // OpenAI publishes one type for whole and streamed completions. It has no value for "not finished yet".
    expect(checkTypes(test.info().outputPath('chunks.ts'), chunks, 'OpenAI.Completion')).toEqual([
      'finish_reason: null',
      'usage: null',
    ])
    const whole = JSON.parse(await record(engine, 'completions', { ...completion, ...greedy })) as object
    expect(checkTypes(test.info().outputPath('whole.ts'), [whole], 'OpenAI.Completion')).toEqual([])
  })

  test('recorded responses do too', async () => {
    const asked = { input: 'Tell me a story about a dragon.', temperature: 0, max_output_tokens: 12 }
    const whole = JSON.parse(await record(engine, 'responses', asked)) as object
    // The client adds this field.
    const added = { output_text: '' }
    expect(checkTypes(test.info().outputPath('response.ts'), [{ ...whole, ...added }], responseType)).toEqual(
      [],
    )
    const events: object[] = []
    createParser({ onEvent: ({ data }) => void events.push(JSON.parse(data) as object) }).feed(
      await record(engine, 'responses', { ...asked, stream: true }),
    )
    expect(events.length).toBeGreaterThan(12)
    for (const event of events) if ('response' in event) Object.assign(event.response as object, added)
    const eventType = 'OpenAI.Responses.ResponseStreamEvent'
    expect(checkTypes(test.info().outputPath('events.ts'), events, eventType)).toEqual([])
  })

  test('the list of models does too, except for the context length, which vLLM sends too', async () => {
    const { data } = JSON.parse(await record(engine, 'models')) as { data: object[] }
    expect(checkTypes(test.info().outputPath('models.ts'), data, 'OpenAI.Model')).toEqual([
      'max_model_len: 512',
    ])
  })

  test('recorded streams parse to the same text in both clients', async ({ page }) => {
    const direct = await engine.evaluate(async (engine) => {
      const raw = { temperature: 0, maxTokens: 12, applyChatTemplate: false } as const
      return {
        chat: await engine
          .generate('Tell me a story about a dragon.', { temperature: 0, maxTokens: 12 })
          .text(),
        completion: await engine.generate('Once upon a time', raw).text(),
      }
    })
    const chat = await record(engine, 'chat/completions', { messages, ...streamed })
    expect(await parseInClients(page, chat, 'chat')).toEqual([direct.chat, direct.chat])
    const continued = await record(engine, 'completions', { ...completion, ...streamed })
    expect(await parseInClients(page, continued, 'completion')).toEqual([
      direct.completion,
      direct.completion,
    ])
  })
})

test('comments keep the connection alive during a long prefill, and both clients ignore them (scripted runtime)', async ({
  page,
}) => {
  await openBarePage(page, { hasClients: true })
  const engine = await page.evaluateHandle(() => window.createScriptedEngine())
  const prompt = 'Once 🐉 über alles 末'
  const seen = await engine.evaluate(async (engine, prompt) => {
    const fetch = window.rivulet.openaiFetch(engine)
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    await new Promise<void>((resolve) => {
      void navigator.locks.request('scripted prefill', () => {
        resolve()
        return released
      })
    })
    const response = await fetch('https://local.example/v1/completions', {
      method: 'POST',
      body: JSON.stringify({ model: 'local', prompt, stream: true }),
    })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    const before = (await reader.read()).value
    release()
    let after = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return { before, after }
      after += value
    }
  }, prompt)
  expect(seen.before).toBe(': keep-alive\n\n')
  expect(seen.after).not.toContain('keep-alive')
  expect(await parseInClients(page, seen.before + seen.after, 'completion')).toEqual([prompt, prompt])
})

/** Returns the texts that `openai` and `@ai-sdk/openai-compatible` read from one recording. */
function parseInClients(page: Page, recording: string, kind: 'chat' | 'completion'): Promise<string[]> {
  return page.evaluate(
    async ({ recording, kind }) => {
      const { OpenAI, aiSdk, createOpenAICompatible } = window
      const headers = { 'content-type': 'text/event-stream; charset=utf-8' }
      const connection = {
        baseURL: 'https://local.example/v1',
        apiKey: 'local',
        fetch: () => Promise.resolve(new Response(recording, { headers })),
      }
      const client = new OpenAI({ ...connection, dangerouslyAllowBrowser: true, maxRetries: 0 })
      const asked = { model: 'local', stream: true } as const
      let text = ''
      if (kind === 'chat') {
        const stream = await client.chat.completions.create({ ...asked, messages: [] })
        for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
      } else {
        const stream = await client.completions.create({ ...asked, prompt: '' })
        for await (const { choices } of stream) text += choices[0]?.text ?? ''
      }
      const provider = createOpenAICompatible({ ...connection, name: 'page' })
      const model = kind === 'chat' ? provider.chatModel('local') : provider.completionModel('local')
      return [text, await aiSdk.streamText({ model, prompt: 'any' }).text]
    },
    { recording, kind },
  )
}
