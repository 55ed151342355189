// With the real @mlc-ai/web-llm, up to the point where it would instantiate a model library.
import * as webLlm from '@mlc-ai/web-llm'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { WebLlmLoadOptions, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import { readDtype } from './find-model.js'
import { watchDevices } from './watch-devices.js'
import { createWebLlmBackend } from './web-llm-backend.js'

/** The test runner's server serves this repository's files, and answers 404 to other paths. */
const folder = new URL('/no-such-model/resolve/main/', location.href).href
const configUrl = `${folder}mlc-chat-config.json`
const invalidLibrary = new URL('/README.md', location.href).href
const record: WebLlmModelRecord = {
  model: folder,
  model_id: 'Story-1B-q4f32_1-MLC',
  model_lib: `${folder}story.wasm`,
}
const wrongHash = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

afterEach(async () => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  for (const name of await caches.keys()) await caches.delete(name)
})

function load(
  changes: Partial<WebLlmModelRecord> = {},
  options: Partial<WebLlmLoadOptions> = {},
  signal = new AbortController().signal,
) {
  const defaults = { model: record.model_id, modelRecords: [{ ...record, ...changes }] }
  return createWebLlmBackend().load(
    {
      model: { kind: 'none' },
      download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
      options: { cache: undefined, contextLength: undefined, ...defaults, ...options },
      lifeLock: '',
    },
    { onProgress() {}, onLost() {}, signal },
  )
}

/** Stores a configuration as web-llm does. */
async function storeConfig(): Promise<Cache> {
  const cache = await caches.open('webllm/config')
  await cache.put(configUrl, Response.json({ vocab_size: 1000 }))
  return cache
}

describe('a model (real package)', () => {
  it('that is not in the list is refused with similar ids', async () => {
    await expect(load({}, { model: 'Qwen2.5-0.5B-Instruct' })).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringContaining('Qwen2.5-0.5B-Instruct-q4f16_1-MLC'),
    })
  })

  it.each(['cache', 'indexeddb', 'opfs'] as const)(
    'without a configuration is reported as missing, with the %s store',
    async (cache) => {
      await expect(load({}, { cache })).rejects.toMatchObject({
        code: 'model-not-found',
        message: expect.stringContaining(configUrl),
      })
    },
  )

  it('without a library is reported as missing', async () => {
    await storeConfig()
    await expect(load()).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringContaining(record.model_lib),
    })
  })

  it('with an invalid library is refused', async () => {
    await storeConfig()
    await expect(load({ model_lib: invalidLibrary })).rejects.toMatchObject({ code: 'model-invalid' })
    const emptyModule = 'data:application/wasm;base64,AGFzbQEAAAA='
    await expect(load({ model_lib: emptyModule })).rejects.toMatchObject({ code: 'model-invalid' })
  })

  it('whose server fails or cannot be reached ends in download-failed', async () => {
    vi.stubGlobal('fetch', async () => new Response('', { status: 503 }))
    await expect(load({}, { cache: 'opfs' })).rejects.toMatchObject({ code: 'download-failed' })
    // In Chromium's words, and in WebKit's.
    for (const words of ['Failed to fetch', 'Load failed']) {
      vi.stubGlobal('fetch', () => Promise.reject(new TypeError(words)))
      await expect(load({}, { cache: 'opfs' })).rejects.toMatchObject({ code: 'download-failed' })
    }
  })

  it('whose server answers with an HTML page is reported as missing, and the page is removed', async () => {
    const page = () => new Response('<html></html>', { headers: { 'content-type': 'text/html' } })
    vi.stubGlobal('fetch', async () => page())
    const configs = await caches.open('webllm/config')
    await configs.put(configUrl, page())
    await expect(load()).rejects.toMatchObject({
      code: 'model-not-found',
      message: expect.stringContaining(configUrl),
    })
    expect(await configs.match(configUrl)).toBeUndefined()
  })

  it('in modelRecords takes precedence over one with the same id in the list', async () => {
    const [prebuilt] = webLlm.prebuiltAppConfig.model_list
    const model = prebuilt!.model_id
    await expect(load({ model_id: model }, { model })).rejects.toMatchObject({
      message: expect.stringContaining(configUrl),
    })
  })
})

describe('integrity (real package)', () => {
  it('of a damaged configuration is reported with both hashes, and the file is removed', async () => {
    const cache = await storeConfig()
    await expect(load({ integrity: { config: wrongHash } })).rejects.toMatchObject({
      code: 'integrity-failed',
      details: { file: configUrl, expected: wrongHash, got: expect.stringMatching(/^sha256-/) },
    })
    expect(await cache.match(configUrl)).toBeUndefined()
  })

  it('is checked before a library is compiled', async () => {
    await storeConfig()
    const compile = vi.spyOn(WebAssembly, 'instantiate')
    const integrity = { model_lib: wrongHash }
    await expect(load({ model_lib: invalidLibrary, integrity })).rejects.toMatchObject({
      code: 'integrity-failed',
      details: { file: invalidLibrary },
    })
    expect(compile).not.toHaveBeenCalled()
  })

  it('of a correct configuration lets loading continue with the library', async () => {
    const bytes = await (await (await storeConfig()).match(configUrl))!.arrayBuffer()
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    const config = `sha256-${btoa(String.fromCharCode(...digest))}`
    await expect(load({ integrity: { config } })).rejects.toMatchObject({ code: 'model-not-found' })
  })
})

it('an abort stops loading at once, with its reason (real package)', async () => {
  await storeConfig()
  const fetching = new Promise<void>((resolve) => {
    vi.stubGlobal('fetch', () => {
      resolve()
      return new Promise(() => {})
    })
  })
  const abort = new AbortController()
  const loading = load({}, {}, abort.signal)
  await fetching
  abort.abort(new Error('enough'))
  await expect(loading).rejects.toThrow('enough')
})

it('the loss of a device that web-llm creates is reported (real package)', async () => {
  const requestDevice = vi.spyOn(GPUAdapter.prototype, 'requestDevice')
  const lost: string[] = []
  await watchDevices(
    () => new webLlm.MLCEngine().getGPUVendor(),
    (reason) => lost.push(reason),
  )
  // `getGPUVendor` requests a device as `reload` does.
  const device = await requestDevice.mock.results[0]!.value
  device.destroy()
  await expect.poll(() => lost).toHaveLength(1)
  expect(GPUAdapter.prototype.requestDevice).toBe(requestDevice)
})

describe('assumptions about web-llm’s errors (real package)', () => {
  it('an engine without a model throws ModelNotLoadedError, and has a map of configurations by model', async () => {
    const engine = new webLlm.MLCEngine()
    await expect(engine.getMessage()).rejects.toMatchObject({ name: 'ModelNotLoadedError' })
    const messages = [{ role: 'user', content: 'Hi' }] as const
    await expect(
      engine.chat.completions.create({ messages: [...messages], stream: true }),
    ).rejects.toMatchObject({ name: 'ModelNotLoadedError' })
    expect(engine).toHaveProperty('loadedModelIdToChatConfig', new Map())
    await engine.unload()
  })

  it.each([
    ['SystemMessageOrderError', ['user', 'system', 'user']],
    ['MessageOrderError', ['user', 'assistant']],
  ] as const)('a request fails with %s for the roles %j', (name, roles) => {
    const messages = roles.map((role) => ({ role, content: 'Hi' }))
    expect(() =>
      webLlm.postInitAndCheckFieldsChatCompletion({ messages }, record.model_id, webLlm.ModelType.LLM),
    ).toThrow(expect.objectContaining({ name }))
  })

  it('each model id in the list contains its quantization', () => {
    const ids = webLlm.prebuiltAppConfig.model_list.map(({ model_id }) => model_id)
    expect(ids.filter((id) => readDtype(id) === undefined)).toEqual([])
  })
})
