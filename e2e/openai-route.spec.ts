// Plain fetches of this origin, answered by a page's engine through the app's service worker.
import { expect, test, type BrowserContext, type Frame, type JSHandle, type Page } from '@playwright/test'
import type { Engine } from 'rivulet'
import type { OpenaiServing } from 'rivulet/serve-openai'
import { loadEngine, openBarePage, startServiceWorker } from './bare-page.js'
import { barePageUrl } from './ports.js'

/** Opens the bare page, controlled by a service worker that calls `openaiRoute`. */
async function openControlledPage(page: Page): Promise<Page> {
  await openBarePage(page, { hasClients: true })
  await startServiceWorker(page)
  return page
}

interface Serving {
  readonly serving: OpenaiServing
  readonly engine: Engine
  /** The result of each requested generation. */
  readonly ends: Promise<{ readonly finishReason: string; readonly text: string }>[]
}

/** Serves an engine, and records its generations. */
function serve(engine: JSHandle<Engine>, isSlow = false): Promise<JSHandle<Serving>> {
  return engine.evaluateHandle(async (served, isSlow) => {
    const ends: Serving['ends'] = []
    const engine = isSlow ? window.readSlowly(served) : served
    const watched = Object.create(engine) as { generate: Engine['generate'] } & Engine
    watched.generate = (...request) => {
      const stream = engine.generate(...request)
      // Read after the route has started to read the stream, so that only the route reads it.
      ends.push(new Promise((resolve) => setTimeout(resolve)).then(() => stream.result))
      return stream
    }
    return { serving: await window.rivulet.serveOpenai(watched), engine, ends }
  }, isSlow)
}

const serveEmbedded = async (page: Page, isSlow = false) => serve(await loadEngine(page, 'wasm'), isSlow)

const request = {
  model: 'local',
  temperature: 0,
  max_tokens: 12,
  messages: [{ role: 'user' as const, content: 'Tell me a story about a dragon.' }],
}

type AskInit = { readonly method?: string; readonly body?: string; readonly mode?: RequestMode }

/** Sends a plain fetch from this page or frame, and returns the response. */
function ask(frame: Page | Frame, path: string, init: AskInit = {}) {
  return frame.evaluate(
    async ({ path, init }) => {
      const response = await fetch(path, init)
      return { status: response.status, text: await response.text() }
    },
    { path, init },
  )
}

const post = (body: object): AskInit => ({ method: 'POST', body: JSON.stringify(body) })

const readCode = ({ text }: { readonly text: string }) =>
  (JSON.parse(text) as { readonly error: { readonly code: string } }).error.code

test('OpenAI’s client streams from the page with the plain fetch', async ({ page }) => {
  const serving = await serveEmbedded(await openControlledPage(page))
  const seen = await serving.evaluate(async ({ engine }, { messages, ...request }) => {
    const baseURL = `${location.origin}/v1`
    const client = new window.OpenAI({ baseURL, apiKey: 'local', dangerouslyAllowBrowser: true })
    const stream = await client.chat.completions.create({ ...request, messages, stream: true })
    const deltas: string[] = []
    for await (const { choices } of stream) deltas.push(choices[0]?.delta.content ?? '')
    const whole = await client.chat.completions.create({ ...request, messages })
    const models = await client.models.list()
    const { request_id } = await client.chat.completions.create({ ...request, messages }).withResponse()
    const helper = client.chat.completions.stream({ ...request, messages })
    const response = await client.responses.create({
      model: 'local',
      input: messages[0]!.content,
      temperature: 0,
      max_output_tokens: 12,
    })
    const helped = [await helper.finalContent(), response.output_text]
    const refused = await client.chat.completions
      .create({ ...request, messages, model: 'gpt-4o' })
      .catch((error: { code?: string }) => error.code)
    const direct = await engine.generate(messages, { temperature: 0, maxTokens: 12 }).text()
    return {
      deltas,
      whole: whole.choices[0]?.message.content,
      models: models.data,
      helped,
      request_id,
      refused,
      direct,
    }
  }, request)
  expect(seen.deltas.join('')).toBe(seen.direct)
  expect(seen.deltas.length).toBeGreaterThan(12)
  expect(seen.whole).toBe(seen.direct)
  expect(seen.helped).toEqual([seen.direct, seen.direct])
  expect(seen.request_id).toMatch(/^req_/)
  expect(seen.models).toMatchObject([{ id: 'local', owned_by: 'onnx' }])
  expect(seen.refused).toBe('model_not_found')
})

test('frames, workers and other tabs of the origin stream too', async ({ page, context }) => {
  const serving = await serveEmbedded(await openControlledPage(page))
  const direct = await serving.evaluate(
    ({ engine }, { messages }) => engine.generate(messages, { temperature: 0, maxTokens: 12 }).text(),
    request,
  )
  await page.setContent('<iframe src="./?frame"></iframe><iframe srcdoc="<p>frame"></iframe>')
  const tab = await openBarePage(await context.newPage())
  await expect.poll(() => page.frames().length).toBe(3)
  const streamed = post({ ...request, stream: true })
  for (const frame of [...page.frames().slice(1), tab]) {
    const { status, text } = await ask(frame, '/v1/chat/completions', streamed)
    expect(status).toBe(200)
    const events = text.split('\n\n').filter((line) => line.startsWith('data: {'))
    const deltas = events.map(
      (event) => JSON.parse(event.slice('data: '.length)).choices[0].delta.content ?? '',
    )
    expect(deltas.join('')).toBe(direct)
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  }
  const fromWorker = await page.evaluate(async () => {
    const code = `fetch('${location.origin}/v1/models').then(async (response) => postMessage(await response.text()))`
    const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })))
    return new Promise<string>((resolve) => (worker.onmessage = ({ data }) => resolve(data)))
  })
  expect(JSON.parse(fromWorker).data[0].id).toBe('local')
})

test('aborting, cancelling or removing the reading frame cancels the generation', async ({ page }) => {
  const serving = await serveEmbedded(await openControlledPage(page))
  const seen = await serving.evaluate(async ({ ends }, { messages }) => {
    const body = JSON.stringify({ model: 'local', messages, stream: true })
    const send = (from: { fetch: typeof fetch }, more: RequestInit = {}) =>
      from.fetch('/v1/chat/completions', { ...more, method: 'POST', body })
    const readSome = async (response: Response) => {
      const reader = response.body!.getReader()
      for (let read = 0; read < 3; read += 1) await reader.read()
      return reader
    }
    const abort = new AbortController()
    await readSome(await send(window, { signal: abort.signal }))
    abort.abort()
    const aborted = await ends[0]
    await (await readSome(await send(window))).cancel()
    const cancelled = await ends[1]
    const frame = document.createElement('iframe')
    frame.src = './?frame'
    document.body.append(frame)
    await new Promise((resolve) => (frame.onload = resolve))
    await readSome(await send(frame.contentWindow as Window & typeof globalThis))
    frame.remove()
    return [aborted, cancelled, await ends[2]].map((end) => end?.finishReason)
  }, request)
  expect(seen).toEqual(['cancelled', 'cancelled', 'cancelled'])
})

test('an unread answer pauses the model (scripted runtime)', async ({ page }) => {
  await openControlledPage(page)
  await serve(await page.evaluateHandle(() => window.createScriptedEngine()))
  const words = 50_000
  const steps = await page.evaluate(async (words) => {
    const body = JSON.stringify({ model: 'local', prompt: 'word '.repeat(words).trim(), stream: true })
    const response = await fetch('/v1/completions', { method: 'POST', body })
    const seen: number[] = []
    // Waits until the model pauses. The text so far is in the browser's buffers.
    while (seen.length < 3 || seen.at(-1) !== seen.at(-3)) {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      seen.push((await window.readScripted()).steps)
    }
    await response.body?.cancel()
    return seen
  }, words)
  console.log(`steps of an unread answer, by seconds: ${steps.join(', ')}`)
  expect(steps.at(-1)).toBeGreaterThan(0)
  expect(steps.at(-1)).toBeLessThan(words / 4)
})

test('navigations, embedded resources and other origins are refused', async ({ page, context }) => {
  await serveEmbedded(await openControlledPage(page))
  const embedded = await ask(page, '/v1/models', { mode: 'no-cors' })
  expect([embedded.status, readCode(embedded)]).toEqual([403, 'foreign-client'])
  const foreign = await context.newPage()
  const navigated = await foreign.goto(`${barePageUrl}v1/models`)
  expect([navigated?.status(), readCode({ text: await navigated!.text() })]).toEqual([403, 'foreign-client'])

  // A page of another origin: its fetch does not reach the service worker, and its form is a navigation.
  const form = `<form method="post" action="${barePageUrl}v1/chat/completions"><button>Send</button></form>`
  await foreign.route('http://foreign.example/', (route) =>
    route.fulfill({ contentType: 'text/html', body: form }),
  )
  const network = { status: 418, headers: { 'access-control-allow-origin': '*' }, body: 'the network' }
  await foreign.goto('http://foreign.example/')
  await foreign.route(`${barePageUrl}v1/models`, (route) => route.fulfill(network))
  expect(await ask(foreign, `${barePageUrl}v1/models`)).toEqual({ status: 418, text: 'the network' })
  const [sent] = await Promise.all([
    foreign.waitForResponse(`${barePageUrl}v1/chat/completions`),
    foreign.click('button'),
  ])
  expect([sent.status(), sent.fromServiceWorker()]).toEqual([403, true])
})

test('without a serving page the status is 503 at once', async ({ page, context }) => {
  await openControlledPage(page)
  const expectNoEngine = async () => {
    const answer = await ask(page, '/v1/chat/completions', post(request))
    expect([answer.status, readCode(answer)]).toEqual([503, 'no-engine'])
  }
  await expectNoEngine()
  const tab = await openBarePage(await context.newPage())
  const serving = await serve(await tab.evaluateHandle(() => window.createScriptedEngine()))
  expect((await ask(page, '/v1/models')).status).toBe(200)
  await serving.evaluate(({ serving }) => serving.stop())
  await expectNoEngine()
  const again = await serve(await serving.evaluateHandle(({ engine }) => engine))
  expect((await ask(page, '/v1/models')).status).toBe(200)
  await again.dispose()
  await tab.close()
  await expectNoEngine()
  // Requests outside the route still work.
  expect((await ask(page, './models/stories/config.json')).status).toBe(200)
})

/** Streams in a page, and calls `interrupt` after the third chunk. @returns the text, and how the stream ended */
async function streamInterrupted(page: Page, interrupt: () => Promise<unknown>) {
  await page.exposeFunction('interrupt', async () => void (await interrupt()))
  return page.evaluate(async ({ messages }) => {
    const body = JSON.stringify({ model: 'local', messages, temperature: 0, stream: true })
    const response = await fetch('/v1/chat/completions', { method: 'POST', body })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    try {
      for (let reads = 1; ; reads += 1) {
        const { done, value } = await reader.read()
        if (done) return { text, end: 'ended' }
        text += value
        if (reads === 3) await (window as unknown as { interrupt(): Promise<void> }).interrupt()
      }
    } catch (error) {
      return { text, end: (error as Error).name }
    }
  }, request)
}

test('closing the serving page during an answer ends the stream with an error', async ({ page, context }) => {
  await openControlledPage(page)
  const tab = await openBarePage(await context.newPage())
  await serveEmbedded(tab, true)
  const { text, end } = await streamInterrupted(page, () => tab.close())
  expect(end).toBe('ended')
  const events = text.trim().split('\n\n')
  expect(events.at(-1)).toBe('data: [DONE]')
  expect(readCode({ text: events.at(-2)!.slice('data: '.length) })).toBe('engine-disposed')
  expect(text).not.toContain('"finish_reason":"')
})

test('stop() during an answer ends the stream with an error', async ({ page }) => {
  const serving = await serveEmbedded(await openControlledPage(page), true)
  const { text } = await streamInterrupted(page, () => serving.evaluate(({ serving }) => serving.stop()))
  expect(text).toContain('"code":"engine-disposed"')
  expect(text).not.toContain('"finish_reason":"')
  expect((await serving.evaluate(({ ends }) => ends[0]))?.finishReason).toBe('cancelled')
})

/** Stops them as a browser does to free memory. */
async function stopServiceWorkers(context: BrowserContext, page: Page): Promise<void> {
  const session = await context.newCDPSession(page)
  await session.send('ServiceWorker.enable')
  await session.send('ServiceWorker.stopAllWorkers')
  await session.detach()
}

test('stopping the service worker during an answer fails the stream and frees the engine', async ({
  page,
  context,
}) => {
  const serving = await serveEmbedded(await openControlledPage(page), true)
  const { text, end } = await streamInterrupted(page, () => stopServiceWorkers(context, page))
  expect(end).toBe('TypeError')
  expect(text).not.toContain('[DONE]')
  expect((await serving.evaluate(({ ends }) => ends[0]))?.finishReason).toBe('cancelled')
  // The next request starts it again.
  expect((await ask(page, '/v1/models')).status).toBe(200)
})

test('serveOpenai() refuses unknown options, a missing service worker and a second call', async ({
  page,
}) => {
  await openBarePage(page, { hasClients: true })
  const engine = await page.evaluateHandle(() => window.createScriptedEngine())
  const fail = (options: object) =>
    engine.evaluate(
      (engine, options) =>
        window.rivulet.serveOpenai(engine, options).then(
          () => 'serves',
          ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
        ),
      options,
    )
  expect(await fail({ scope: '/v1/' })).toMatch(/^invalid-option: serveOpenai\(\) has no option "scope"/)
  expect(await fail({})).toMatch(/^backend-unavailable: This page has no service worker/)
  await openControlledPage(page)
  const scripted = await page.evaluateHandle(() => window.createScriptedEngine())
  await serve(scripted)
  await expect(serve(scripted)).rejects.toThrow('This page already serves an engine')
})
