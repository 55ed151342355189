// Invalid options of llamaCpp(), remote() and its transports. web-llm.test.ts and onnx.test.ts test the other two.
import { describe, expect, it, vi } from 'vitest'
import { grpcWeb } from './grpc-web.js'
import { llamaCpp } from './llama-cpp.js'
import { remote, sse } from './remote.js'
import { responses } from './responses.js'

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
    [{ maxConcurrentGenerations: 0 }, 'maxConcurrentGenerations'],
    [{ maxConcurrentGenerations: 17 }, 'maxConcurrentGenerations'],
    [{ wasmUrl: 'http://[' }, 'wasmUrl'],
    [{ compat: true }, 'compat'],
    [{ compat: { script: 'https://a.example/a.js' } }, 'wasm'],
    [{ compat: { script: 'https://a.example/a.js', wasm: 'http://[' } }, 'wasm'],
    [{ compat: { worker: 'https://a.example/a.js', wasm: 'https://a.example/a.wasm' } }, '"worker"'],
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
    vi.stubGlobal('document', {})
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

describe('responses() refuses by name', () => {
  it.each<[object, string]>([
    [{ backgroud: true }, 'backgroud'],
    [{ background: 1 }, 'background'],
    [{ store: 'yes' }, 'store'],
    [{ background: true, store: false }, 'store'],
    [{ background: true, webSocket: true }, 'webSocket'],
    [{ webSocket: 5 }, 'webSocket'],
    [{ webSocket: { url: 'wss://a.example' } }, 'url'],
    [{ webSocket: { protocols: ['a b'] } }, 'protocols'],
    [{ webSocket: { protocols: ['a', 'a'] } }, 'protocols'],
    [{ webSocket: { query: { key: 5 } } }, 'query'],
    [{ webSocket: { multiplex: 1 } }, 'multiplex'],
    [{ webSocket: { maxUnreadLength: 0 } }, 'maxUnreadLength'],
  ])('%j', (options, name) => expectRefusal(() => responses(options as object), name))
})

describe('grpcWeb() refuses by name', () => {
  it.each<[object, string]>([
    [{}, 'tokenizer'],
    [{ tokeniser: 'owner/name' }, 'tokeniser'],
    [{ tokenizer: 'owner/name', chatTemplate: ' ' }, 'chatTemplate'],
    [{ tokenizer: 'owner/name', timeoutMs: 0 }, 'timeoutMs'],
    [{ tokenizer: 'owner/name', resume: 1 }, 'resume'],
  ])('%j', (options, name) => expectRefusal(() => grpcWeb(options as never), name))
})

describe('the transport of remote()', () => {
  const server = { baseURL: 'https://a.example', model: 'm' }

  it('is sse() unless another is given', () => {
    expect(remote(server).options).toEqual(remote({ ...server, transport: sse() }).options)
    expect(remote({ ...server, transport: responses({ background: true }) }).options).toMatchObject({
      baseUrl: 'https://a.example/',
      transport: { background: true, store: true, webSocket: undefined },
    })
    expect(remote({ ...server, transport: grpcWeb({ tokenizer: 'owner/name' }) })).toMatchObject({
      model: { kind: 'source', source: 'owner/name' },
      isServer: true,
      options: { transport: { timeoutMs: undefined, resume: true } },
    })
  })

  it.each<[object, string]>([
    [{ transport: 'responses' }, 'transport'],
    [{ transport: null }, 'transport'],
    [{ transport: responses(), canContinue: true }, 'canContinue'],
    [{ transport: responses(), server: 'vllm' }, 'server'],
    [{ transport: grpcWeb({ tokenizer: 'owner/name' }), extraBody: {} }, 'extraBody'],
    [{ transport: grpcWeb({ tokenizer: 'owner/name' }), canContinue: true }, 'canContinue'],
    [{ transport: responses({ webSocket: true }), apiKey: 'secret-key' }, 'apiKey'],
    [{ transport: responses({ webSocket: true }), headers: { 'x-key': 'secret-key' } }, 'headers'],
  ])('refuses what it cannot use: %#', (options, name) => {
    expectRefusal(() => remote({ ...server, ...options }), name)
    expect(() => remote({ ...server, ...options })).not.toThrow('secret-key')
  })
})
