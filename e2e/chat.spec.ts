// rivulet/chat with the embedded model: a conversation in an app without a framework.
import { expect, test, type JSHandle } from '@playwright/test'
import type { Engine } from 'rivulet'
import { loadEngine, openBarePage } from './bare-page.js'

let engine: JSHandle<Engine>
test.beforeEach(async ({ page }) => {
  await openBarePage(page)
  engine = await loadEngine(page, 'wasm')
})

test('a chat streams the engine’s text, and a follow-up reuses the KV cache', async () => {
  const seen = await engine.evaluate(async (engine) => {
    const sampling = { temperature: 0, maxTokens: 16 }
    const chat = window.rivulet.createChat({ engine, sampling })
    const texts = new Set<string>()
    chat.subscribe(({ messages }) => texts.add(`${messages.length}: ${messages.at(-1)?.text}`))
    const first = await chat.send('Tell me a story about a dragon.')
    const second = await chat.send('And then?')
    const [question, answer, next] = chat.getSnapshot().messages.map(({ text: content }) => content)
    const direct = await engine.generate(
      [
        { role: 'user', content: question! },
        { role: 'assistant', content: answer! },
        { role: 'user', content: next! },
      ],
      sampling,
    ).result
    return { updates: texts.size, first, second, direct, status: chat.getSnapshot().status }
  })
  expect(seen.updates).toBeGreaterThan(25)
  expect(seen.second.text).toBe(seen.direct.text)
  expect(seen.status).toEqual({ kind: 'ready' })
  expect(seen.first.state).toMatchObject({ finishReason: 'length', usage: { completionTokens: 16 } })
  const { usage } = seen.second.state as { usage: { promptTokens: number; cachedPromptTokens: number } }
  expect(usage.promptTokens).toBe(seen.direct.usage.promptTokens)
  expect(usage.cachedPromptTokens).toBeGreaterThan(16)
})

test('a conversation longer than the context continues without its oldest exchanges', async () => {
  const seen = await engine.evaluate(async (engine) => {
    const chat = window.rivulet.createChat({ engine, sampling: { temperature: 0, maxTokens: 100 } })
    const answers = []
    for (let asked = 0; asked < 7; asked += 1) answers.push(await chat.send(`Tell me story ${asked}.`))
    return { answers, ...chat.getSnapshot(), contextLength: engine.info.contextLength! }
  })
  expect(seen.contextLength).toBe(512)
  for (const { text, state } of seen.answers) {
    expect(state.kind).toBe('finished')
    expect(text).not.toBe('')
  }
  expect(seen.messages).toHaveLength(14)
  expect(seen.forgottenMessages).toBeGreaterThan(0)
  const promptTokens = seen.answers.map(({ state }) =>
    state.kind === 'finished' ? state.usage!.promptTokens : 0,
  )
  expect(Math.max(...promptTokens)).toBeLessThan(512)
})

test('a continued answer equals the uninterrupted one', async () => {
  const seen = await engine.evaluate(async (engine) => {
    const question = 'Tell me a story about a dragon.'
    const sampling = { temperature: 0.8, seed: 7 }
    const whole = await engine.generate(question, { ...sampling, maxTokens: 40 }).text()
    const chat = window.rivulet.createChat({ engine, sampling })
    const cut = await chat.send(question, { maxTokens: 15 })
    const continued = await chat.continue({ maxTokens: 25 })
    return { whole, cut, continued, messages: chat.getSnapshot().messages }
  })
  expect(seen.cut.state).toMatchObject({ kind: 'finished', finishReason: 'length' })
  expect(seen.continued).toMatchObject({ id: seen.cut.id, text: seen.whole })
  expect(seen.continued.state).toMatchObject({ finishReason: 'length', usage: { completionTokens: 25 } })
  expect(seen.messages).toHaveLength(2)
  expect(seen.whole.length).toBeGreaterThan(seen.cut.text.length)
})

test('stopping keeps the text so far, and the next question is answered', async () => {
  const seen = await engine.evaluate(async (engine) => {
    const chat = window.rivulet.createChat({ engine, sampling: { temperature: 0, maxTokens: 200 } })
    const asked = chat.send('Tell me a story about a dragon.')
    await new Promise<void>((resolve) => {
      chat.subscribe(({ messages }) => (messages.at(-1)!.text.length > 20 ? resolve() : undefined))
    })
    await chat.stop()
    const stopped = await asked
    return { stopped, next: await chat.send('And then?', { maxTokens: 4 }) }
  })
  expect(seen.stopped.state).toMatchObject({ kind: 'finished', finishReason: 'cancelled' })
  expect(seen.stopped.text.length).toBeGreaterThan(20)
  expect(seen.next.state).toMatchObject({ kind: 'finished', finishReason: 'length' })
})
