// Playwright's own `expect` with a scripted stream. playwright.spec.ts has real pages.
import { expect as baseExpect } from '@playwright/test'
import { describe, expect, it } from 'vitest'
import type { GenerationResult } from '../generation.js'
import type { StreamReport } from './observe-context.js'
import { recordStream } from './observed-stream.js'
import { toHaveStreamed, type ExpectedStream } from './to-have-streamed.js'

const { any, objectContaining } = baseExpect
const matcher = baseExpect.extend({ toHaveStreamed })

const latency = {
  timeToFirstTokenMs: 1,
  firstTokenChannel: undefined,
  timeToFirstTextMs: undefined,
  interTokenLatencyMs: undefined,
  queueMs: 0,
  prefillTokensPerSecond: undefined,
  decodeTokensPerSecond: undefined,
  decodeMs: undefined,
  totalMs: 1,
  model: undefined,
}

function result(changes: Partial<GenerationResult>): GenerationResult {
  return {
    text: '',
    reasoning: '',
    toolCalls: [],
    finishReason: 'stop',
    parts: [],
    usage: { promptTokens: 1, cachedPromptTokens: 0, completionTokens: 1 },
    latency,
    recoveries: 0,
    ...changes,
  }
}

type Chunk = Omit<
  Extract<StreamReport, { kind: 'chunk' }>,
  'kind' | 'generation' | 'tokenCount' | 'arrivedMs'
>

/** A stream that a page has read so far, or to its end. */
function observe(chunks: readonly Chunk[], end?: Partial<GenerationResult>) {
  const { stream, note } = recordStream()
  note({ kind: 'generation-started', generation: 1 })
  for (const chunk of chunks) note({ kind: 'chunk', generation: 1, tokenCount: 1, arrivedMs: 1, ...chunk })
  if (end) note({ kind: 'generation-ended', generation: 1, result: result(end) })
  return stream
}

const json = [{ text: '{"city":' }, { text: '"Bern"}' }]
const value = { city: 'Bern' }
const calls = [
  { text: '', toolCalls: [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{"at":' }] },
  { text: '', toolCalls: [{ index: 0, argumentsDelta: '"Bern"}' }] },
  { text: '', toolCalls: [{ index: 1, id: 'b', name: 'wait', argumentsDelta: '' }] },
]
const timeout = { timeout: 20 }

describe('a value that a stream must have', () => {
  it.each<[ExpectedStream]>([
    [{ value }],
    [{ value: { city: any(String) } }],
    [{ value: objectContaining({ city: 'Bern' }) }],
  ])('matches: %j', async (expected) => {
    await matcher(observe(json, { text: '{"city":"Bern"}', value })).toHaveStreamed(expected, timeout)
  })

  it.each([{ city: 'Genf' }, {}, { city: 'Bern', days: 1 }, [], null, 'Bern'])(
    'does not match: %j',
    async (other) => {
      const stream = observe(json, { text: '{"city":"Bern"}', value })
      await matcher(stream).not.toHaveStreamed({ value: other }, timeout)
      await expect(matcher(stream).toHaveStreamed({ value: other }, timeout)).rejects.toThrow(
        'without a match',
      )
    },
  )

  it('is not there before the end, and must come in several chunks', async () => {
    await expect(matcher(observe(json)).toHaveStreamed({ value }, timeout)).rejects.toThrow('within 20 ms')
    const whole = observe([{ text: '{"city":"Bern"}' }], { text: '{"city":"Bern"}', value })
    await expect(matcher(whole).toHaveStreamed({ value }, timeout)).rejects.toThrow('several chunks')
  })
})

describe('tool calls that a stream must have', () => {
  it.each<[ExpectedStream]>([
    [{ toolCalls: [{ name: 'look' }, { name: 'wait' }] }],
    [
      {
        toolCalls: [
          { name: 'look', arguments: { at: 'Bern' } },
          { name: 'wait', arguments: {} },
        ],
      },
    ],
    [{ toolCalls: [{ name: 'look', arguments: { at: any(String) } }, { name: 'wait' }] }],
  ])('match as soon as they are complete: %j', async (expected) => {
    await matcher(observe(calls)).toHaveStreamed(expected, timeout)
  })

  it.each<[ExpectedStream]>([
    [{ toolCalls: [] }],
    [{ toolCalls: [{ name: 'look' }] }],
    [{ toolCalls: [{ name: 'wait' }, { name: 'look' }] }],
    [{ toolCalls: [{ name: 'look', arguments: {} }, { name: 'wait' }] }],
  ])('do not match: %j', async (expected) => {
    const toolCalls = [
      { id: 'a', name: 'look', arguments: '{"at":"Bern"}' },
      { id: 'b', name: 'wait', arguments: '{}' },
    ]
    await matcher(observe(calls, { toolCalls })).not.toHaveStreamed(expected, timeout)
  })

  it('do not match while their arguments grow', async () => {
    const growing = matcher(observe(calls.slice(0, 1))).toHaveStreamed(
      { toolCalls: [{ name: 'look' }] },
      timeout,
    )
    await expect(growing).rejects.toThrow('within 20 ms')
  })
})

it.each([[{}], [{ value: 1, toolCalls: [] }], [null], [5]])('refuses to expect %j', async (expected) => {
  const stream = observe([])
  await expect(matcher(stream).toHaveStreamed(expected as never, timeout)).rejects.toThrow(
    '{ value } or { toolCalls }',
  )
})
