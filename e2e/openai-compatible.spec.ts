// The AI SDK's unchanged client for servers with OpenAI's API, answered by an engine of this page.
import { expect, test, type JSHandle } from '@playwright/test'
import type { OpenAICompatibleProvider } from '@ai-sdk/openai-compatible'
import type { Engine } from 'rivulet'
import { loadEngine, openBarePage } from './bare-page.js'

interface Clients {
  readonly provider: OpenAICompatibleProvider
  readonly engine: Engine
}

let clients: JSHandle<Clients>
test.beforeEach(async ({ page }) => {
  await openBarePage(page, { hasClients: true })
  const engine = await loadEngine(page, 'wasm')
  clients = await engine.evaluateHandle((engine) => {
    const { createOpenAICompatible, rivulet } = window
    const provider = createOpenAICompatible({
      name: 'page',
      baseURL: 'https://local.example/v1',
      includeUsage: true,
      fetch: rivulet.openaiFetch(engine),
    })
    return { engine, provider }
  })
})

const prompt = 'Tell me a story about a dragon.'

test('a chat works streamed and whole, with finish reason and usage', async () => {
  const seen = await clients.evaluate(async ({ provider, engine }, prompt) => {
    const { aiSdk } = window
    const asked = { model: provider.chatModel('local'), prompt, temperature: 0, maxOutputTokens: 12 }
    const stream = aiSdk.streamText(asked)
    const deltas: string[] = []
    for await (const delta of stream.textStream) deltas.push(delta)
    const whole = await aiSdk.generateText(asked)
    return {
      deltas,
      streamed: { finishReason: await stream.finishReason, usage: await stream.usage },
      whole: { text: whole.text, finishReason: whole.finishReason, usage: whole.usage },
      direct: await engine.generate(prompt, { temperature: 0, maxTokens: 12 }).result,
    }
  }, prompt)
  const { deltas, streamed, whole, direct } = seen
  expect(deltas.join('')).toBe(direct.text)
  expect(deltas.length).toBeGreaterThan(5)
  expect(whole.text).toBe(direct.text)
  for (const { finishReason, usage } of [streamed, whole]) {
    expect(finishReason).toBe('length')
    expect(usage).toMatchObject({ inputTokens: direct.usage.promptTokens, outputTokens: 12 })
  }
})

test('a completion streams', async () => {
  const seen = await clients.evaluate(async ({ provider, engine }) => {
    const { aiSdk } = window
    const messages = [{ role: 'user', content: 'Once upon a time' }] as const
    const stream = aiSdk.streamText({
      model: provider.completionModel('local'),
      messages: [...messages],
      temperature: 0,
      maxOutputTokens: 12,
    })
    const text = await stream.text
    // This client's prompt format for a model that only completes text.
    const prompt = 'user:\nOnce upon a time\n\nassistant:\n'
    const raw = { temperature: 0, maxTokens: 12, stop: ['\nuser:'], applyChatTemplate: false } as const
    const direct = await engine.generate(prompt, raw).result
    return { text, usage: await stream.usage, direct }
  })
  expect(seen.text).toBe(seen.direct.text)
  expect(seen.usage).toMatchObject({ inputTokens: seen.direct.usage.promptTokens })
})

test('aborting cancels the generation, and the next one runs', async () => {
  const seen = await clients.evaluate(async ({ provider, engine }, prompt) => {
    const { aiSdk } = window
    const abort = new AbortController()
    const stream = aiSdk.streamText({
      model: provider.chatModel('local'),
      prompt,
      abortSignal: abort.signal,
      onError() {},
    })
    let deltas = 0
    for await (const _ of stream.textStream) {
      deltas += 1
      if (deltas === 3) abort.abort()
    }
    // Waits in the queue. It would wait for ever if the aborted generation still ran.
    return { deltas, next: await engine.generate('Hello', { maxTokens: 2 }).text() }
  }, prompt)
  expect(seen.deltas).toBeLessThan(10)
  expect(seen.next).not.toBe('')
})

test('a refused request is the client’s own error, with status and code', async () => {
  const seen = await clients.evaluate(async ({ provider }, prompt) => {
    const { aiSdk } = window
    const fail = async (model: string, more: object) => {
      try {
        await aiSdk.generateText({ model: provider.chatModel(model), prompt, maxRetries: 0, ...more })
        return 'answered'
      } catch (error) {
        if (!aiSdk.APICallError.isInstance(error)) throw error
        return { status: error.statusCode, isRetryable: error.isRetryable, data: error.data }
      }
    }
    return {
      model: await fail('gpt-4o', {}),
      temperature: await fail('local', { temperature: -1 }),
      topP: await fail('local', { topP: 2 }),
      tooLong: await fail('local', { prompt: 'many words '.repeat(2000) }),
    }
  }, prompt)
  expect(seen).toMatchObject({
    model: { status: 404, isRetryable: false, data: { error: { code: 'model_not_found' } } },
    temperature: { status: 400, isRetryable: false, data: { error: { param: 'temperature' } } },
    topP: { status: 400, isRetryable: false, data: { error: { param: 'top_p' } } },
    tooLong: { status: 400, isRetryable: false, data: { error: { code: 'context_length_exceeded' } } },
  })
})

test('disposing the engine during an answer is an error after the text so far', async () => {
  const seen = await clients.evaluate(async ({ provider, engine }, prompt) => {
    const { aiSdk } = window
    const errors: unknown[] = []
    const stream = aiSdk.streamText({
      model: provider.chatModel('local'),
      prompt,
      onError: ({ error }) => void errors.push(error),
    })
    let text = ''
    for await (const delta of stream.textStream) {
      text += delta
      void engine.dispose()
    }
    return { text, errors: errors.map((error) => JSON.stringify(error)) }
  }, prompt)
  expect(seen.text).not.toBe('')
  expect(seen.errors.join()).toContain('The engine was disposed')
})
