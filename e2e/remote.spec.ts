// The same call, answered by a server: one that speaks as vLLM's documentation has it, since none runs here.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from '@playwright/test'
import type { Engine } from 'rivulet'
import { openBarePage } from './bare-page.js'

/** Between a server's words. */
const wordMs = 20
const words = ['Once', ' upon', ' a', ' time']

interface FakeServer {
  readonly url: string
  /** Connections that a client has closed before their end. */
  closedEarly: number
  /** When each word left. */
  readonly sentMs: number[]
  /** Breaks off behind the second word. */
  isBroken: boolean
  /** Never ends. */
  isEndless: boolean
  close(): void
}

async function startServer(): Promise<FakeServer> {
  const state = { closedEarly: 0, sentMs: [] as number[], isBroken: false, isEndless: false }
  const send = (response: ServerResponse, data: object | string) =>
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
  const say = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] })
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*, Authorization, Content-Type')
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    if (request.url === '/v1/models') {
      return void response.end(JSON.stringify({ data: [{ id: 'story-model', max_model_len: 2048 }] }))
    }
    response.setHeader('content-type', 'text/event-stream')
    let isDone = false
    response.once('close', () => {
      if (!isDone) state.closedEarly += 1
    })
    for (const [index, word] of words.entries()) {
      send(response, say(word))
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (state.isBroken && index === 1) return void response.destroy()
    }
    while (state.isEndless && !response.destroyed) {
      send(response, say(' more'))
      state.sentMs.push(Date.now())
      await new Promise((resolve) => setTimeout(resolve, wordMs))
    }
    send(response, { choices: [{ delta: {}, finish_reason: 'stop' }] })
    send(response, { choices: [], usage: { prompt_tokens: 9, completion_tokens: words.length } })
    isDone = true
    send(response, '[DONE]')
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return Object.assign(state, {
    url: `http://localhost:${(server.address() as AddressInfo).port}/v1`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  })
}

let server: FakeServer
test.beforeEach(async ({ page }) => {
  server = await startServer()
  await openBarePage(page)
})
test.afterEach(() => server.close())

test('a server’s answer streams as a model’s in the page does', async ({ page }) => {
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

test('a server that breaks off is told from one that ends, with what was said', async ({ page }) => {
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

test('who leaves closes the connection within 100 ms, and the next request runs', async ({ page }) => {
  server.isEndless = true
  const leaving = await page.evaluate(async (baseURL) => {
    const { createEngine, remote } = window.rivulet
    const engine = await createEngine({ backend: remote({ baseURL, model: 'story-model' }) })
    Object.assign(window, { engine })
    for await (const { text } of engine.generate('Tell me a story.')) if (text === ' more') break
    return Date.now()
  }, server.url)
  await expect.poll(() => server.closedEarly).toBe(1)
  const sentInVain = server.sentMs.filter((ms) => ms > leaving).length
  expect(sentInVain).toBeLessThanOrEqual(100 / wordMs)
  server.isEndless = false
  const text = await page.evaluate(() => {
    const { engine } = window as unknown as { engine: Engine }
    return engine.generate('Again.').text()
  })
  expect(text).toBe(words.join(''))
})

test('where no model can run in the page, the server in the list answers', async ({ page }) => {
  const info = await page.evaluate(async (baseURL) => {
    const { createEngine, onnx, remote } = window.rivulet
    // Injected: a browser without WebGPU.
    Object.defineProperty(navigator, 'gpu', { value: undefined })
    const engine = await createEngine({
      backend: [onnx({ device: 'webgpu' }), remote({ baseURL, model: 'story-model' })],
      model: './models/stories/',
    })
    return engine.info
  }, server.url)
  expect(info.backend).toBe('remote')
})

test('options of remote() are refused by name', async ({ page }) => {
  const messages = await page.evaluate(() => {
    const { remote } = window.rivulet
    const wrong: unknown[] = [
      { baseURL: 'https://a.example', model: 'm', key: 'x' },
      { baseURL: 'ftp://a.example', model: 'm' },
      { baseURL: 'https://user:password@a.example', model: 'm' },
      { baseURL: 'https://a.example', model: '' },
      { baseURL: 'https://a.example', model: 'm', apiKey: '' },
      { baseURL: 'https://a.example', model: 'm', apiKey: 'line\nbreak' },
      { baseURL: 'https://a.example', model: 'm', idleTimeoutMs: 0 },
    ]
    return wrong.map((options) => {
      try {
        remote(options as never)
        return 'taken'
      } catch (error) {
        const { code, message } = error as InstanceType<typeof window.rivulet.RivuletError>
        return `${code}: ${message}`
      }
    })
  })
  const names = ['"key"', 'baseURL', 'password', 'model', 'apiKey', 'apiKey', 'idleTimeoutMs']
  for (const message of messages) expect(message).toMatch(/^invalid-option: /)
  for (const [index, name] of names.entries()) expect(messages[index]).toContain(name)
  expect(messages.join()).not.toContain('line\nbreak')
})
