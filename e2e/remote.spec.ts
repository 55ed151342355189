// The same call, answered by a server. vLLM cannot run here: the stand-in follows vLLM's documentation.
import { expect, test } from '@playwright/test'
import type { Engine } from 'rivulet'
import { openBarePage } from './bare-page.js'
import { startFakeServer, wordMs, words, type FakeServer } from './fake-server.js'

let server: FakeServer
test.beforeEach(async ({ page }) => {
  server = await startFakeServer()
  await openBarePage(page)
})
test.afterEach(() => server.close())

test('a server’s answer streams like the answer of a model in the page', async ({ page }) => {
  const seen = await page.evaluate(async (baseURL) => {
    const { createEngine, remote } = window.rivulet
    const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model' }) })
    const stream = engine.generate('Tell me a story.')
    const texts: string[] = []
    for await (const { text } of stream) texts.push(text)
    const { text, finishReason, usage, latency } = await stream.result
    const twin = await engine.generate('Tell me a story.').text()
    await engine.dispose()
    return { texts, text, twin, finishReason, usage, latency, info: engine.info }
  }, server.url)
  expect(seen).toMatchObject({
    texts: words,
    text: words.join(''),
    twin: words.join(''),
    finishReason: 'stop',
    usage: { promptTokens: 9, cachedPromptTokens: 0, completionTokens: words.length },
    info: { backend: 'remote', device: 'server', model: 'story-model', contextLength: 2048 },
  })
  expect(seen.latency.timeToFirstTokenMs).toBeGreaterThan(0)
  expect(seen.latency.interTokenLatencyMs?.p50).toBeGreaterThan(0)
})

test('an answer that breaks off ends with an error that contains the text so far', async ({ page }) => {
  server.isBroken = true
  const error = await page.evaluate(async (baseURL) => {
    const { createEngine, remote } = window.rivulet
    const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model' }) })
    const failed = await engine.generate('Tell me a story.').result.catch((thrown: unknown) => thrown)
    const { code, text } = failed as InstanceType<typeof window.rivulet.RivuletError>
    return { code, text }
  }, server.url)
  expect(error).toEqual({ code: 'connection-failed', text: 'Once upon' })
})

test('an unread answer pauses the server once the socket is full', async ({ page }) => {
  server.isFlooding = true
  const reader = await page.evaluateHandle(async (baseURL) => {
    const { createEngine, remote } = window.rivulet
    const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model' }) })
    const reader = engine.generate('Tell me a story.').getReader()
    await reader.read()
    return reader
  }, server.url)
  const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))
  let before = -1
  await expect(async () => {
    before = server.sentBytes
    await wait(1000)
    expect(server.sentBytes).toBe(before)
  }).toPass({ timeout: 30_000 })
  expect(before).toBeGreaterThan(0)
  await reader.evaluate(async (reader) => {
    for (let chunks = 0; chunks < 2000; chunks += 1) await reader.read()
  })
  await expect.poll(() => server.sentBytes).toBeGreaterThan(before)
  await reader.evaluate((reader) => reader.cancel())
})

test('with canContinue a second server continues an answer that broke off', async ({ page }) => {
  const second = await startFakeServer()
  server.isBroken = true
  try {
    const [continued, refused] = await page.evaluate(
      async (urls) => {
        const { createEngine, remote } = window.rivulet
        const run = async (canContinue: boolean) => {
          const [first, next] = urls.map((baseURL) => remote({ baseURL, model: 'story-model', canContinue }))
          const engine = await createEngine({ backend: [first!, next!] })
          const stream = engine.generate('Tell me a story.')
          return stream.result.catch((error: { code: string; text: string }) => error)
        }
        const continued = await run(true)
        const { code, text } = (await run(false)) as { code: string; text: string }
        return [continued, { code, text }]
      },
      [server.url, second.url],
    )
    expect(continued).toMatchObject({
      text: words.join(''),
      parts: [
        { backend: 'remote', deviceDescription: new URL(server.url).host, text: 'Once upon', tokens: 2 },
        { backend: 'remote', deviceDescription: new URL(second.url).host, text: ' a time', tokens: 2 },
      ],
    })
    expect(refused).toMatchObject({ code: 'connection-failed', text: 'Once upon' })
  } finally {
    second.close()
  }
})

test('with canContinue the server continues an answer that is passed back', async ({ page }) => {
  const [text, refused] = await page.evaluate(async (baseURL) => {
    const { createEngine, remote } = window.rivulet
    const run = async (canContinue: boolean) => {
      const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model', canContinue }) })
      const prompt = [
        { role: 'user', content: 'Tell me a story.' },
        { role: 'assistant', content: 'Once upon' },
      ] as const
      return engine.generate(prompt, { continueFinalMessage: true }).text()
    }
    return [await run(true), await run(false).catch(({ code }: { code: string }) => code)]
  }, server.url)
  expect(text).toBe(' a time')
  expect(refused).toBe('invalid-option')
})

test(
  'a reader that leaves closes the connection within 100 ms, and the next request runs',
  { tag: '@alone' },
  async ({ page }) => {
    server.isEndless = true
    const leftMs = await page.evaluate(async (baseURL) => {
      const { createEngine, remote } = window.rivulet
      const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model' }) })
      Object.assign(window, { engine })
      for await (const { text } of engine.generate('Tell me a story.')) if (text === ' more') break
      return Date.now()
    }, server.url)
    await expect.poll(() => server.closedEarly).toBe(1)
    const wordsAfterwards = server.sentMs.filter((ms) => ms > leftMs).length
    expect(wordsAfterwards).toBeLessThanOrEqual(100 / wordMs)
    server.isEndless = false
    const text = await page.evaluate(() => {
      const { engine } = window as unknown as { engine: Engine }
      return engine.generate('Again.').text()
    })
    expect(text).toBe(words.join(''))
  },
)

test('routing() chooses between the page and the server for each answer, and says why', async ({ page }) => {
  const seen = await page.evaluate(async (baseURL) => {
    const { createEngine, onnx, remote, routing } = window.rivulet
    const engine = await createEngine({
      backend: [
        onnx({ device: 'wasm', model: './models/stories/' }),
        remote({ baseURL, model: 'story-model', canContinue: true }),
      ],
      route: routing({ first: 'local', maxLocalPromptLength: 100 }),
    })
    const ask = async (prompt: string) => {
      const { parts, recoveries } = await engine.generate(prompt, { maxTokens: 4, temperature: 0 }).result
      return [...parts.map(({ backend, reason }) => `${backend}: ${reason}`), `${recoveries}`]
    }
    const early = await ask('Tell me a story.')
    while (engine.info.backend !== 'onnx') await new Promise((done) => setTimeout(done, 20))
    const local = await ask('Tell me a story.')
    const long = await ask('many words '.repeat(20))
    await engine.dispose()
    return { early, local, long }
  }, server.url)
  expect(seen.early).toEqual(['remote: loading', '0'])
  expect(seen.local).toEqual(['onnx: first', '0'])
  expect(seen.long).toEqual(['remote: prompt-length', '0'])
})

test('if no model can run in the page, the server in the list answers', async ({ page }) => {
  const info = await page.evaluate(async (baseURL) => {
    const { createEngine, onnx, remote } = window.rivulet
    // An injected fault: a browser without WebGPU.
    Object.defineProperty(navigator, 'gpu', { value: undefined })
    const engine = await createEngine({
      backend: [onnx({ device: 'webgpu' }), remote({ baseURL, model: 'story-model' })],
      model: './models/stories/',
    })
    return engine.info
  }, server.url)
  expect(info.backend).toBe('remote')
})
