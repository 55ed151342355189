// Invalid options of llamaCpp() and remote(). web-llm.test.ts and onnx.test.ts test the other two.
import { describe, expect, it, vi } from 'vitest'
import { llamaCpp } from './llama-cpp.js'
import { remote } from './remote.js'

function expectRefusal(create: () => unknown, name: string): void {
  expect(create).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
  )
}

describe('llamaCpp() refuses by name', () => {
  it.each([
    [{ devices: 'wasm' }, 'devices'],
    [{ device: 'cpu' }, 'device'],
    [{ contextLength: 0 }, 'contextLength'],
    [{ threads: 1.5 }, 'threads'],
    [{ endTokens: '<|end|>' }, 'endTokens'],
    [{ endTokens: [''] }, 'endTokens'],
    [{ chatTemplate: ' ' }, 'chatTemplate'],
    [{ chatTemplate: 5 }, 'chatTemplate'],
    [{ memoryBudgetBytes: -1 }, 'memoryBudgetBytes'],
    [{ conversationCacheBytes: -1 }, 'conversationCacheBytes'],
    [{ wasmUrl: 'http://[' }, 'wasmUrl'],
    [{ worker: 1 }, 'worker'],
  ])('%j', (options, name) => expectRefusal(() => llamaCpp(options as object), name))
})

describe('remote() refuses by name', () => {
  const valid = { baseURL: 'https://a.example', model: 'm' }
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic

  it.each<[object, string]>([
    [{ key: 'x' }, '"key"'],
    [{ baseURL: 'ftp://a.example' }, 'baseURL'],
    [{ baseURL: 'https://user:password@a.example' }, 'password'],
    [{ model: '' }, 'model'],
    [{ apiKey: '' }, 'apiKey'],
    [{ apiKey: 'line\nbreak' }, 'apiKey'],
    [{ idleTimeoutMs: 0 }, 'idleTimeoutMs'],
    [{ skipModelList: 1 }, 'skipModelList'],
    [{ allowMissingFinishReason: 'yes' }, 'allowMissingFinishReason'],
    [{ server: 'apache' }, 'llama-cpp'],
    [{ supports: null }, 'supports'],
    [{ supports: { form: [] } }, '"form"'],
    [{ supports: { formats: ['xml'] } }, 'json-schema'],
    [{ supports: { tools: 'yes' } }, 'tools'],
    [{ supports: { reasoning: 'off' } }, 'reasoning'],
    [{ extraBody: [] }, 'extraBody'],
    [{ extraBody: { stream: false } }, '"stream"'],
    [{ extraBody: cyclic }, 'JSON'],
  ])('%j', (options, name) => expectRefusal(() => remote({ ...valid, ...options }), name))

  it('a server on the user’s own machine is available offline, others are not', async () => {
    const own = ['http://localhost:1', 'http://a.localhost', 'http://127.0.0.1:1/v1', 'http://[::1]:1']
    vi.stubGlobal('navigator', { onLine: false })
    try {
      const ask = async (baseURL: string) =>
        (await remote({ ...valid, baseURL }).checkAvailability()).isAvailable
      expect(await Promise.all(own.map(ask))).toEqual([true, true, true, true])
      expect(await ask('https://localhost.example')).toBe(false)
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('no error contains the API key', () => {
    expect(() => remote({ ...valid, apiKey: 'line\nbreak' })).not.toThrow('line\nbreak')
  })
})
