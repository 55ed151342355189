// The transport responses() in a browser, with a server that is written for the tests after OpenAI's documentation.
import { expect, test, type Page } from '@playwright/test'
import type { ResponsesOptions } from 'rivulet/responses'
import {
  numberEvents,
  sendMessage,
  startResponsesServer,
  type ResponsesServer,
} from '../workers/remote/responses/responses-server.test-support.js'
import { openBarePage, streamAnswer } from './bare-page.js'

const words = ['Once', ' upon', ' a', ' time', ' there', ' was', ' a', ' fox', '.']
const story = words.join('')
const place = { item_id: 'msg_1', output_index: 0, content_index: 0 }
const createEvents = (id: string) =>
  numberEvents([
    { type: 'response.created', response: { id } },
    ...words.map((delta) => ({ type: 'response.output_text.delta', ...place, delta })),
    { type: 'response.completed', response: { id, usage: { input_tokens: 5, output_tokens: words.length } } },
  ])

let server: ResponsesServer
let page: Page
test.beforeAll(async ({ browser }) => {
  page = await openBarePage(await browser.newPage())
})
test.afterAll(() => page.close())
test.beforeEach(async () => {
  server = await startResponsesServer(createEvents)
})
test.afterEach(() => server.close())

function openEngine(options: ResponsesOptions) {
  return page.evaluateHandle(
    ({ baseURL, options }) => {
      const { createEngine, remote, responses } = window.rivulet
      return createEngine({
        backend: remote({ baseURL, model: 'story-model', transport: responses(options) }),
      })
    },
    { baseURL: server.url, options },
  )
}

for (const options of [{}, { background: true }, { webSocket: true }, { webSocket: { multiplex: true } }]) {
  test(`streams with responses(${JSON.stringify(options)})`, async () => {
    const engine = await openEngine(options)
    for (let count = 0; count < 2; count += 1) {
      const { chunks, result } = await streamAnswer(engine, 'Tell me a story.', {})
      expect(chunks).toEqual(words)
      expect(result).toMatchObject({
        text: story,
        finishReason: 'stop',
        recoveries: 0,
        usage: { promptTokens: 5, completionTokens: words.length },
      })
    }
    expect(server.sockets).toHaveLength('webSocket' in options ? 1 : 0)
  })
}

test('a background response goes on where its connection broke, and the result counts it', async () => {
  const engine = await openEngine({ background: true })
  server.cutDelayMs = 500
  server.cuts.push(500, 500)
  const { chunks, result } = await streamAnswer(engine, 'Tell me a story.', {})
  expect(chunks).toEqual(words)
  expect(result).toMatchObject({ text: story, finishReason: 'stop', recoveries: 2 })
})

test('leaving the stream closes the WebSocket, and the next answer opens another', async () => {
  server.onMessage = (socket, body) => {
    for (const event of createEvents('resp_1').slice(0, 4)) sendMessage(socket, event, body)
  }
  const engine = await openEngine({ webSocket: true })
  const finishReason = await engine.evaluate(async (engine) => {
    const stream = engine.generate('Tell me a story.')
    for await (const { index } of stream) if (index === 1) break
    return (await stream.result).finishReason
  })
  expect(finishReason).toBe('cancelled')
  await server.left
  server.onMessage = undefined
  expect((await streamAnswer(engine, 'Tell me a story.', {})).result.text).toBe(story)
})
