// With a real HTTP server for each shape, and without one where an answer is cut at every byte.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerationStep, ToolCallDelta } from '../../lib/contract/worker-api.js'
import { readEvents } from './event-stream.js'
import { readAnswer, readChatChunks } from './read-answer.js'
import { createSseTransport } from './transport.js'
import { wireShapes, type WireShape } from './wire-shapes.test-support.js'
import type { StreamItem } from './event-stream.js'

const answerEnds = new Set(['stop', 'length', 'tool-calls', 'content-filter'])

interface Seen {
  readonly end: string
  readonly message: string
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: readonly (readonly [string, string])[]
  readonly counted: readonly [number, number] | undefined
  readonly tokens: number
  readonly kinds: readonly string[]
}

/** Reads an answer to its end, whichever that is. */
async function read(items: AsyncIterable<StreamItem>, shape: WireShape): Promise<Seen> {
  const steps: GenerationStep[] = []
  const { maxTokens, allowMissingFinishReason = false } = shape
  const context = { maxTokens, allowMissingFinishReason, queueMs: 0, startedAt: 0 }
  const answer = readAnswer(readChatChunks(items, String), context)
  try {
    for (;;) {
      const { done, value } = await answer.next()
      if (done) return summarize(steps, value, '')
      steps.push(value)
    }
  } catch (error) {
    if (!(error instanceof RivuletError)) throw error
    return summarize(steps, error.code, error.message)
  }
}

function summarize(steps: readonly GenerationStep[], end: string, message: string): Seen {
  const chunks = steps.filter((step) => step.kind === 'chunk')
  const counted = steps.find((step) => step.kind === 'counted')
  return {
    end,
    message,
    text: chunks.map(({ text }) => text).join(''),
    reasoning: chunks.map(({ reasoning = '' }) => reasoning).join(''),
    toolCalls: joinCalls(chunks.flatMap(({ toolCalls = [] }) => toolCalls)),
    counted: counted && [counted.promptTokens, counted.completionTokens],
    tokens: chunks.reduce((sum, { tokenCount }) => sum + tokenCount, 0),
    kinds: steps.map(({ kind }) => kind),
  }
}

function joinCalls(deltas: readonly ToolCallDelta[]): readonly (readonly [string, string])[] {
  const calls: [string, string][] = []
  for (const { index, id, name, argumentsDelta } of deltas) {
    if (calls[index]) calls[index][1] += argumentsDelta
    else {
      expect(id).toMatch(/./)
      calls[index] = [name!, argumentsDelta]
    }
  }
  return calls
}

/** The items of a body that arrives in pieces, as from a connection that then closes. */
async function* open(pieces: readonly Uint8Array[]): AsyncGenerator<StreamItem, undefined> {
  async function* send(): AsyncGenerator<Uint8Array, undefined> {
    yield* pieces
  }
  for await (const items of readEvents(send())) yield* items
}

async function readFromServer(shape: WireShape): Promise<Seen> {
  const { body, status = 200, contentType = 'text/event-stream' } = shape
  const server = createServer(
    (_, response) => void response.writeHead(status, { 'content-type': contentType }).end(body),
  )
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  try {
    const baseUrl = `http://localhost:${(server.address() as AddressInfo).port}/`
    const transport = createSseTransport({ baseUrl, headers: {}, idleTimeoutMs: 5000 })
    const request = { path: 'chat/completions', body: {}, correct: () => false }
    return await read(transport.stream(request, new AbortController().signal), shape)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

const streamed = wireShapes.filter(
  ({ status = 200, contentType = '' }) => status === 200 && !contentType.includes('html'),
)

describe('a server’s answer', () => {
  it('has at least 90 shapes here, each with its own name', () => {
    expect(new Set(wireShapes.map(({ name }) => name)).size).toBe(wireShapes.length)
    expect(wireShapes.length).toBeGreaterThanOrEqual(90)
  })

  it.each(wireShapes.map((shape) => [shape.name, shape] as const))(
    'is read as listed: %s',
    async (_, shape) => {
      const seen = await readFromServer(shape)
      const {
        end,
        text = '',
        reasoning = '',
        toolCalls = [],
        counted,
        tokens = seen.tokens,
        message = /^/,
      } = shape.expected
      expect(seen).toMatchObject({ end, text, reasoning, toolCalls, tokens })
      expect(seen.message).toMatch(message)
      expect(seen.counted).toEqual(counted)
      if (seen.kinds.length > 0) expect(seen.kinds[0]).toBe('started')
    },
  )

  it.each(streamed.map((shape) => [shape.name, shape] as const))(
    'is the same if it arrives byte by byte: %s',
    async (_, shape) => {
      const bytes = new TextEncoder().encode(shape.body)
      const byteByByte = await read(open(Array.from(bytes, (byte) => Uint8Array.of(byte))), shape)
      expect(byteByByte).toEqual(await read(open([bytes]), shape))
    },
  )

  it.each(streamed.map((shape) => [shape.name, shape] as const))(
    'that is cut off at any byte is never a success with a part of its text, and never loses text: %s',
    async (_, shape) => {
      const bytes = new TextEncoder().encode(shape.body)
      const all = await read(open([bytes]), shape)
      let longest = ''
      for (let length = 0; length < bytes.length; length += 1) {
        const cut = await read(open([bytes.subarray(0, length)]), shape)
        const where = `cut at ${length}`
        const { text, reasoning, toolCalls } = cut
        if (answerEnds.has(cut.end)) {
          // Cut in what follows the answer: the usage, the terminator, or a later failure.
          expect({ text, reasoning, toolCalls }, where).toEqual({
            text: all.text,
            reasoning: all.reasoning,
            toolCalls: all.toolCalls,
          })
          expect(hasNaturalEnd(bytes.subarray(0, length), shape), where).toBe(true)
        }
        expect(all.text.startsWith(text) && text.startsWith(longest), where).toBe(true)
        longest = text
      }
    },
    30_000,
  )
})

/** True if the bytes contain what ends the answer naturally: a finish reason, or the terminator where there is none. */
function hasNaturalEnd(bytes: Uint8Array, shape: WireShape): boolean {
  const reason = /"finish_reason":\s*"[^"]+"/
  const received = new TextDecoder().decode(bytes)
  return reason.test(shape.body) ? reason.test(received) : /\[DONE\]/i.test(received)
}
