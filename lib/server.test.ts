// What the package answers on a server that renders pages. Node has no `document`, as such servers.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { availability } from './availability.js'
import { createChat } from './chat.js'
import { createEngine, type Engine } from './engine.js'
import { llamaCpp } from './llama-cpp.js'
import { onnx } from './onnx.js'
import { remote } from './remote.js'
import { serveOpenai } from './serve-openai.js'
import { store } from './store.js'
import { webLlm } from './web-llm.js'

const packageFile = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly node: string }>>
}

const entries = Object.entries(packageFile.exports).flatMap(([name, target]) =>
  typeof target === 'string' && target.endsWith('.js')
    ? [{ name, source: target.replace('./dist/', '../').replace(/js$/, 'ts') }]
    : [],
)

describe('on a server', () => {
  it.each(entries)('$name can be imported', async ({ source }) => {
    await expect(import(/* @vite-ignore */ source)).resolves.toBeDefined()
  })

  const backends = [
    onnx({ wasmPaths: '/ort/' }),
    llamaCpp({ wasmUrl: '/wllama.wasm' }),
    remote({ baseURL: '/v1', model: 'a' }),
    webLlm({ model: 'a' }),
  ]

  it('no backend and no device is available, and the reason names the server', async () => {
    const { webgpu, wasm, backends: found } = await availability(...backends)
    const unavailable = expect.stringContaining('server')
    expect([webgpu, wasm]).toEqual([{ unavailable }, { unavailable }])
    expect(found).toEqual(
      ['onnx', 'llama-cpp', 'remote', 'web-llm'].map((name) => ({
        name,
        isAvailable: false,
        isSlow: false,
        reason: unavailable,
      })),
    )
  })

  it('createEngine() fails with backend-unavailable', async () => {
    await expect(createEngine({ backend: backends, model: './models/' })).rejects.toMatchObject({
      code: 'backend-unavailable',
    })
  })

  it('the store is empty, and locates names and absolute URLs', async () => {
    expect(await store.list()).toEqual([])
    expect(await store.listRuntimes()).toEqual([])
    expect(await store.remove('onnxruntime-web')).toBe(false)
    expect(await store.evict({ keepBytes: 0 })).toEqual([])
    expect(await store.remove('owner/name')).toBe(false)
    expect(store.locate('owner/name')).toBe('https://huggingface.co/owner/name/resolve/main/')
    expect(() => store.locate('./models/')).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('server') }),
    )
  })

  it('a chat waits for its engine', () => {
    const chat = createChat({ engine: new Promise<Engine>(() => {}) })
    expect(chat.getSnapshot().status).toEqual({ kind: 'loading' })
  })

  it('nothing can be served: serveOpenai() and openaiRoute() fail with backend-unavailable', async () => {
    const engine = { info: {}, generate() {} } as unknown as Engine
    await expect(serveOpenai(engine)).rejects.toMatchObject({ code: 'backend-unavailable' })
    // Imported like this, because it is compiled with the types of a service worker.
    const route = '../workers/openai-route.ts'
    const { openaiRoute } = (await import(/* @vite-ignore */ route)) as { openaiRoute: () => void }
    expect(() => openaiRoute()).toThrow(expect.objectContaining({ code: 'backend-unavailable' }))
  })
})
