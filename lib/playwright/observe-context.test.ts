import type { BrowserContext } from '@playwright/test'
import { afterEach, describe, expect, it } from 'vitest'
import { RivuletError } from '../contract/errors.js'
import type { ModelInfo } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'
import { allSupport } from '../model-support.test-support.js'
import type { EngineObserver } from '../observer.js'
import { observeContext } from './observe-context.js'

const key = Symbol.for('rivulet.observer')
const bindings = globalThis as unknown as Record<string, unknown>

/** Stands in for a browser context whose only page is this thread. */
async function observeThisThread() {
  const reports: unknown[] = []
  let bindingName = ''
  const context = {
    exposeBinding(name: string) {
      bindingName = name
      bindings[name] = async (report: unknown) => void reports.push(structuredClone(report))
      return Promise.resolve()
    },
    addInitScript(script: (argument: string) => void, argument: string) {
      script(argument)
      return Promise.resolve()
    },
  }
  await observeContext(context as unknown as BrowserContext)
  const observer = (globalThis as unknown as { [key]: Required<EngineObserver> })[key]
  return { reports, observer, remove: () => Reflect.deleteProperty(bindings, bindingName) }
}

const info: ModelInfo = {
  model: 'stories',
  backend: 'onnx',
  device: 'wasm',
  deviceDescription: '1 thread',
  dtype: 'q8',
  host: 'tab',
  execution: 'growing-cache',
  warnings: [],
  contextLength: 512,
  supports: allSupport,
}
const figures = {
  usage: { promptTokens: 1, cachedPromptTokens: 0, completionTokens: 1 },
  latency: {
    timeToFirstTokenMs: 1,
    firstTokenChannel: 'text' as const,
    timeToFirstTextMs: undefined,
    interTokenLatencyMs: undefined,
    queueMs: 0,
    prefillTokensPerSecond: 1,
    decodeTokensPerSecond: undefined,
    decodeMs: undefined,
    totalMs: 2,
    model: undefined,
  },
  recoveries: 0,
}

describe('what a page reports to a test', () => {
  afterEach(() => Reflect.deleteProperty(globalThis, key))

  it('has the loads and the streams, without the prompt', async () => {
    const { reports, observer, remove } = await observeThisThread()
    const result: GenerationResult = {
      text: 'Once',
      finishReason: 'stop',
      reasoning: '',
      toolCalls: [],
      parts: [],
      ...figures,
    }
    observer.onLoad(info)
    const start = { generation: 7, startedAt: 0, input: 'chat', options: { stop: [] }, info } as const
    observer.onStart({ ...start, prompt: 'xylophone' })
    const chunk = { text: 'Once', tokenIds: [1], tokenCount: 1, index: 0 }
    observer.onChunk({ generation: 7, chunk, arrivedMs: 1, readMs: 2, unreadChunks: 0, recoveries: 0 })
    observer.onEnd({ generation: 7, info, outcome: { kind: 'finished', result } })
    expect(reports).toEqual([
      { kind: 'document-opened' },
      { kind: 'engine-loaded', info },
      { kind: 'generation-started', generation: 7 },
      { kind: 'chunk', generation: 7, text: 'Once', tokenCount: 1, arrivedMs: 1 },
      { kind: 'generation-ended', generation: 7, result },
    ])
    expect(JSON.stringify(reports)).not.toContain('xylophone')
    remove()
  })

  it('has the channels of a chunk, and the value as JSON; a value that is not JSON is left out', async () => {
    const { reports, observer, remove } = await observeThisThread()
    const toolCalls = [{ index: 0, id: 'a', name: 'look', argumentsDelta: '{}' }]
    const chunk = { text: '', reasoning: 'Hm.', toolCalls, tokenIds: [1], tokenCount: 1, index: 0 }
    observer.onChunk({ generation: 7, chunk, arrivedMs: 1, readMs: 2, unreadChunks: 0, recoveries: 0 })
    const result: GenerationResult = {
      text: '',
      finishReason: 'stop',
      reasoning: '',
      toolCalls: [],
      parts: [],
      ...figures,
    }
    for (const value of [{ at: new Date(0), run() {} }, () => {}, 1n, undefined]) {
      observer.onEnd({ generation: 7, info, outcome: { kind: 'finished', result: { ...result, value } } })
    }
    expect(reports.slice(1)).toStrictEqual([
      { kind: 'chunk', generation: 7, text: '', reasoning: 'Hm.', toolCalls, tokenCount: 1, arrivedMs: 1 },
      {
        kind: 'generation-ended',
        generation: 7,
        result: { ...result, value: { at: '1970-01-01T00:00:00.000Z' } },
      },
      ...[1, 2, 3].map(() => ({ kind: 'generation-ended', generation: 7, result })),
    ])
    remove()
  })

  it('has errors with code, text and cause, and leaves out a cancel reason that cannot be posted', async () => {
    const { reports, observer, remove } = await observeThisThread()
    const error = new RivuletError('device-lost', 'lost', { text: 'Once', cause: new Error('why') })
    observer.onLoadError(error)
    observer.onEnd({ generation: 7, info, outcome: { kind: 'failed', error, figures } })
    const result = {
      text: '',
      finishReason: 'cancelled',
      cancelReason: () => {},
      reasoning: '',
      toolCalls: [],
      parts: [],
      ...figures,
    } as const
    observer.onEnd({ generation: 8, info, outcome: { kind: 'finished', result } })
    const serialized = { code: 'device-lost', message: 'lost', text: 'Once', cause: { message: 'why' } }
    expect(reports.slice(1)).toMatchObject([
      { kind: 'engine-failed', error: serialized },
      { kind: 'generation-failed', generation: 7, error: serialized },
      { kind: 'generation-ended', generation: 8, result: { finishReason: 'cancelled' } },
    ])
    remove()
  })
})
