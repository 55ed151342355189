// Scripted workers stand in for the backends: the routing sees only their events.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Connection } from './connect-worker.js'
import { RivuletError } from './contract/errors.js'
import type { GenerateRequest } from './contract/request.js'
import type { GenerationEvent, ModelInfo, WorkerApi } from './contract/worker-api.js'
import type { Engine } from './engine.js'
import type { Recovery } from './keep-worker.js'
import { createLoadedEngine } from './loaded-engine.js'
import { allSupport } from './model-support.test-support.js'
import { combineObservers } from './observer.js'
import { routing, type RoutingOptions } from './routing.js'
import type { Candidate, LoadedWorker } from './start-worker.js'

/** What a scripted backend does with its generations. */
interface Script {
  /** Time until the first token. */
  firstTokenMs: number
  words: readonly string[]
  /** The error of the next generations, and after how many words it comes. */
  failures: {
    readonly after: number
    readonly code: 'connection-failed' | 'worker-failed' | 'prompt-too-long'
  }[]
  /** When the model is loaded; rejects if it cannot be loaded. */
  loading: Promise<void>
  readonly supports: Partial<ModelInfo['supports']>
  readonly requests: GenerateRequest[]
  cancelled: number
  loads: number
  terminated: number
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let local: Script
let server: Script
const createScript = (words: readonly string[], supports: Script['supports'] = {}): Script => ({
  firstTokenMs: 0,
  words,
  failures: [],
  loading: Promise.resolve(),
  supports,
  requests: [],
  cancelled: 0,
  loads: 0,
  terminated: 0,
})
beforeEach(() => {
  vi.stubGlobal('navigator', {})
  local = createScript(['A', ' local', ' tale'])
  server = createScript(['A', ' served', ' tale'])
})
afterEach(() => vi.unstubAllGlobals())

function createCandidate(name: string, isServer: boolean): Candidate {
  return {
    backend: {
      name,
      options: {},
      model: { kind: 'named' },
      isServer,
      checkAvailability: () => Promise.resolve({ isAvailable: true }),
      createWorker: () => {
        throw new Error('not to be made')
      },
    },
    model: { kind: 'none' },
  }
}

/** Streams the words after those that the answer has. */
function stream(script: Script, request: GenerateRequest): ReadableStream<GenerationEvent> {
  script.requests.push(request)
  const failure = script.failures.shift()
  const known = request.resume ? script.words.length - 1 : 0
  const words = script.words.slice(known)
  let index = -1
  return new ReadableStream<GenerationEvent>(
    {
      async pull(controller) {
        if (index === -1) {
          await wait(script.firstTokenMs)
          controller.enqueue({
            kind: 'started',
            promptTokens: 1,
            cachedPromptTokens: 0,
            queueMs: 0,
            prefillMs: 0,
          })
        } else if (index === failure?.after) {
          controller.error(new RivuletError(failure.code, 'scripted failure'))
        } else if (index < words.length) {
          controller.enqueue({ kind: 'chunk', text: words[index]!, tokenIds: [], tokenCount: 1 })
        } else {
          controller.enqueue({ kind: 'ended', finishReason: 'stop' })
        }
        index += 1
      },
      cancel() {
        // The streams of finished answers are left too.
        if (index <= words.length) script.cancelled += 1
      },
    },
    { highWaterMark: 0 },
  )
}

function createWorker(script: Script, candidate: Candidate): LoadedWorker {
  const closing = new AbortController()
  const api = {
    generate: (request: GenerateRequest) => Promise.resolve(stream(script, request)),
    unload: () => Promise.resolve(),
  }
  const connection: Connection = {
    // Cast: the library calls these methods only.
    call: (run) => run(api as unknown as Parameters<typeof run>[0] & WorkerApi),
    closed: closing.signal,
    terminate(reason) {
      script.terminated += 1
      closing.abort(reason)
    },
  }
  const { name } = candidate.backend
  return {
    connection,
    info: {
      model: name,
      backend: name,
      device: name === 'remote' ? 'server' : 'wasm',
      deviceDescription: 'none',
      dtype: undefined,
      host: 'tab',
      execution: 'growing-cache',
      warnings: [],
      contextLength: undefined,
      supports: { ...allSupport, ...script.supports },
    },
    candidate,
    skipped: [],
    silenceTimeoutMs: Infinity,
  }
}

async function open(options: RoutingOptions, names: readonly string[] = ['onnx', 'remote']): Promise<Engine> {
  const candidates = names.map((name) => createCandidate(name, name === 'remote'))
  const recovery: Recovery = {
    candidates,
    async start(lost) {
      const candidate = candidates.find((each) => !lost.has(each))!
      const script = candidate.backend.name === 'remote' ? server : local
      script.loads += 1
      await script.loading
      return createWorker(script, candidate)
    },
    onRecovery: undefined,
    onLoad() {},
  }
  const workers = await routing(options).open(recovery, true, undefined)
  await wait(0)
  return createLoadedEngine(workers, true, combineObservers([]))
}

/** Returns the text, and who wrote it for which reason. */
async function ask(engine: Engine, prompt = 'Tell me a tale.', options = {}) {
  const { text, parts, recoveries } = await engine.generate(prompt, options).result
  return { text, parts: parts.map(({ backend, reason }) => `${backend}: ${reason}`), recoveries }
}

describe('local first', () => {
  it('asks no server while the device answers in time', async () => {
    const engine = await open({ first: 'local', firstTokenMs: 200 })
    expect(await ask(engine)).toMatchObject({ text: 'A local tale', parts: ['onnx: first'] })
    expect(server.requests).toEqual([])
  })

  it('asks the server too after the limit: the first token wins, and the other one is cancelled', async () => {
    const engine = await open({ first: 'local', firstTokenMs: 20 })
    local.firstTokenMs = 200
    expect(await ask(engine)).toMatchObject({ text: 'A served tale', parts: ['remote: slow'] })
    await vi.waitFor(() => expect(local.cancelled).toBe(1))
    // The device was only slow: it is asked again.
    local.firstTokenMs = 0
    expect(await ask(engine)).toMatchObject({ text: 'A local tale', parts: ['onnx: first'] })
  })

  it('keeps the device’s answer if it comes after the limit, and before the server’s', async () => {
    const engine = await open({ first: 'local', firstTokenMs: 20 })
    local.firstTokenMs = 60
    server.firstTokenMs = 300
    expect(await ask(engine)).toMatchObject({ text: 'A local tale', parts: ['onnx: first'] })
    await vi.waitFor(() => expect(server.cancelled).toBe(1))
  })

  it('without a limit waits for the device', async () => {
    const engine = await open({ first: 'local' })
    local.firstTokenMs = 100
    expect(await ask(engine)).toMatchObject({ parts: ['onnx: first'] })
    expect(server.requests).toEqual([])
  })

  it('asks the server while the model is being loaded, and the device afterwards', async () => {
    let finish = () => {}
    local.loading = new Promise((resolve) => (finish = resolve))
    const engine = await open({ first: 'local' })
    expect(engine.info.backend).toBe('remote')
    expect(await ask(engine)).toMatchObject({ parts: ['remote: loading'] })
    finish()
    await vi.waitFor(() => expect(engine.info.backend).toBe('onnx'))
    expect(await ask(engine)).toMatchObject({ parts: ['onnx: first'] })
  })

  it('uses the server alone if the model cannot be loaded, and says so', async () => {
    local.loading = Promise.reject(new RivuletError('memory-exceeded', 'too large'))
    const engine = await open({ first: 'local' })
    expect(await ask(engine)).toMatchObject({ parts: ['remote: failed'] })
    expect(engine.skipped).toEqual([{ name: 'onnx', reason: 'too large' }])
  })

  it('sends a long prompt to the server', async () => {
    const engine = await open({ first: 'local', maxLocalPromptLength: 20 })
    expect(await ask(engine)).toMatchObject({ parts: ['onnx: first'] })
    expect(await ask(engine, 'many words '.repeat(5))).toMatchObject({ parts: ['remote: prompt-length'] })
  })

  it('sends what the model does not support, or what is too long for it, to the server', async () => {
    local = createScript(local.words, { options: ['maxTokens'] })
    const engine = await open({ first: 'local' })
    expect(await ask(engine, 'Hi', { temperature: 0 })).toMatchObject({ parts: ['remote: unsupported'] })
    local.failures.push({ after: 0, code: 'prompt-too-long' })
    expect(await ask(engine)).toMatchObject({ parts: ['remote: failed'] })
  })
})

describe('by device', () => {
  it('starts with the server on a low battery, until it is charging', async () => {
    const battery = { level: 0.1, charging: false }
    vi.stubGlobal('navigator', { getBattery: () => Promise.resolve(battery) })
    const engine = await open({ first: 'local', minBattery: 0.2 })
    expect(await ask(engine)).toMatchObject({ parts: ['remote: battery'] })
    battery.charging = true
    expect(await ask(engine)).toMatchObject({ parts: ['onnx: first'] })
  })

  it.each([
    [{ deviceMemory: 2 }, { minMemoryGib: 4 }, 'memory'],
    [{ connection: { saveData: true } }, { serverOnSaveData: true }, 'save-data'],
  ])('with %j loads no model on the device', async (browser, limits, reason) => {
    vi.stubGlobal('navigator', browser)
    const engine = await open({ first: 'local', ...limits })
    expect(await ask(engine)).toMatchObject({ parts: [`remote: ${reason}`] })
    expect(local.loads).toBe(0)
    expect(engine.skipped[0]?.reason).toContain(reason)
  })

  it('ignores limits that the browser says nothing about', async () => {
    vi.stubGlobal('navigator', { getBattery: () => Promise.reject(new Error('not allowed')) })
    const limits = { minBattery: 0.5, minMemoryGib: 4, serverOnSaveData: true }
    expect(await ask(await open({ first: 'local', ...limits }))).toMatchObject({ parts: ['onnx: first'] })
  })
})

describe('server first', () => {
  it('asks the device if the server fails, and the server again for the next answer', async () => {
    const engine = await open({ first: 'server' })
    server.failures.push({ after: 0, code: 'connection-failed' })
    expect(await ask(engine)).toMatchObject({ text: 'A local tale', parts: ['onnx: failed'] })
    expect(await ask(engine)).toMatchObject({ text: 'A served tale', parts: ['remote: first'] })
  })

  it('hands an answer that breaks off over to the device', async () => {
    const engine = await open({ first: 'server' })
    server.failures.push({ after: 2, code: 'connection-failed' })
    expect(await ask(engine)).toEqual({
      text: 'A served tale',
      parts: ['remote: first', 'onnx: failed'],
      recoveries: 1,
    })
    expect(local.requests[0]?.resume?.handedOver.text).toBe('A served')
  })

  it('fails with the error of the server if the device fails too', async () => {
    const engine = await open({ first: 'server' })
    server.failures.push({ after: 0, code: 'connection-failed' })
    local.failures.push({ after: 0, code: 'prompt-too-long' })
    await expect(ask(engine)).rejects.toMatchObject({ code: 'connection-failed' })
  })
})

describe('a hedged start', () => {
  it.each([
    [0, 100, 'onnx', 'first'],
    [100, 0, 'remote', 'slow'],
  ])(
    'asks both at once, and cancels the one without a token (%i and %i ms)',
    async (localMs, serverMs, winner, reason) => {
      const engine = await open({ first: 'local', firstTokenMs: 0 })
      local.firstTokenMs = localMs
      server.firstTokenMs = serverMs
      expect(await ask(engine)).toMatchObject({ parts: [`${winner}: ${reason}`] })
      expect([local.requests.length, server.requests.length]).toEqual([1, 1])
      await vi.waitFor(() => expect(local.cancelled + server.cancelled).toBe(1))
    },
  )

  it('cancels both if the reader leaves before the first token', async () => {
    const engine = await open({ first: 'local', firstTokenMs: 0 })
    local.firstTokenMs = 100
    server.firstTokenMs = 100
    const left = engine.generate('Tell me a tale.')
    await vi.waitFor(() => expect(server.requests).toHaveLength(1))
    await left.cancel()
    expect(await left.result).toMatchObject({ finishReason: 'cancelled', text: '', parts: [] })
    await vi.waitFor(() => expect([local.cancelled, server.cancelled]).toEqual([1, 1]))
  })

  it('is one stream: each word once, whoever wins', async () => {
    const engine = await open({ first: 'local', firstTokenMs: 0 })
    const texts = await Promise.all(
      Array.from({ length: 20 }, async (_, run) => {
        local.firstTokenMs = run % 3
        server.firstTokenMs = (run + 1) % 3
        let text = ''
        for await (const chunk of engine.generate('Tell me a tale.')) text += chunk.text
        return text
      }),
    )
    expect(texts.every((text) => text === 'A local tale' || text === 'A served tale')).toBe(true)
  })
})

it('a worker that dies mid-answer is replaced, and the answer continues there', async () => {
  const engine = await open({ first: 'local', firstTokenMs: 100 })
  local.failures.push({ after: 2, code: 'worker-failed' })
  expect(await ask(engine)).toMatchObject({ text: 'A local tale', parts: ['onnx: first'], recoveries: 1 })
  expect(local.loads).toBe(2)
})

it('dispose() ends all workers, also one that is still being loaded', async () => {
  let finish = () => {}
  local.loading = new Promise((resolve) => (finish = resolve))
  const engine = await open({ first: 'local' })
  await engine.dispose()
  finish()
  await vi.waitFor(() => expect([local.terminated, server.terminated]).toEqual([1, 1]))
  expect(() => engine.generate('Hi')).toThrow(expect.objectContaining({ code: 'engine-disposed' }))
})

describe('routing() refuses by name', () => {
  it.each<[object, string]>([
    [{}, 'first'],
    [{ first: 'cheap' }, 'first'],
    [{ first: 'local', firstToken: 5 }, 'firstToken'],
    [{ first: 'local', firstTokenMs: -1 }, 'firstTokenMs'],
    [{ first: 'local', maxLocalPromptLength: '9' }, 'maxLocalPromptLength'],
    [{ first: 'local', minBattery: 20 }, 'minBattery'],
    [{ first: 'local', minMemoryGib: NaN }, 'minMemoryGib'],
    [{ first: 'local', serverOnSaveData: 1 }, 'serverOnSaveData'],
    [{ first: 'server', minBattery: 0.2 }, 'minBattery'],
  ])('%j', (options, name) => {
    expect(() => routing(options as RoutingOptions)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) }),
    )
  })

  it('a list that has no server', async () => {
    await expect(open({ first: 'local' }, ['onnx', 'llama-cpp'])).rejects.toMatchObject({
      code: 'invalid-option',
    })
  })
})
