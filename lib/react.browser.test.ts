// Uses the embedded model in its worker, and React's development build: only there does strict mode mount everything twice.
import { Activity, createElement, StrictMode, type ReactNode } from 'react'
import { flushSync } from 'react-dom'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer, ChatOptions } from './chat.js'
import { createScriptedEngine } from './chat/scripted-engine.test-support.js'
import { RivuletError } from './contract/errors.js'
import { createEngine, type Engine } from './engine.js'
import { onnx } from './onnx.js'
import { useRivuletChat, useRivuletEngine, type RivuletChat, type RivuletEngine } from './react.js'

const createWorker = () =>
  new Worker(new URL('../workers/onnx.worker.ts', import.meta.url), { type: 'module' })
const loadEngine = (signal?: AbortSignal) =>
  createEngine({
    backend: onnx({ device: 'wasm', worker: createWorker }),
    model: '/demo/public/models/stories/',
    signal,
  })

const question = 'Tell me a story about a dragon.'
const greedy = { temperature: 0, maxTokens: 24 }
/** Long enough that the answer does not end before it is stopped. */
const long = { maxTokens: 150 }
const patience = { timeout: 30_000 }

let engine: Engine
let reference: string
beforeAll(async () => {
  engine = await loadEngine()
  reference = await engine.generate([{ role: 'user', content: question }], greedy).text()
  return () => engine.dispose()
}, 60_000)

let root: Root | undefined
afterEach(() => root?.unmount())

/** What the component got on each render, in order. */
type Renders = RivuletChat[]

function ChatView({ of, renders }: { of: Engine | Promise<Engine>; renders: Renders }) {
  const chat = useRivuletChat({ engine: of, sampling: greedy })
  renders.push(chat)
  return createElement('output', {}, chat.messages.at(-1)?.text)
}

function LoadingChatView({ load, renders }: { load: typeof loadEngine; renders: Renders }) {
  const { engine: of } = useRivuletEngine(({ signal }) => load(signal), [])
  return createElement(ChatView, { of, renders })
}

function show(createView: (renders: Renders) => ReactNode) {
  const renders: Renders = []
  const container = document.createElement('div')
  document.body.replaceChildren(container)
  const created = createRoot(container)
  root = created
  const render = (mode: 'visible' | 'hidden') =>
    created.render(
      createElement(StrictMode, {}, createElement(Activity, { mode, children: createView(renders) })),
    )
  render('visible')
  return {
    renders,
    render,
    /** The text on the page. */
    text: () => container.textContent,
    /** Resolves after the first render. */
    chat: () => vi.waitFor(() => renders.at(-1) ?? expect.fail('not rendered yet'), patience),
  }
}

const showChat = (of: Engine) => show((renders) => createElement(ChatView, { of, renders }))
const showLoadingChat = (load: typeof loadEngine) =>
  show((renders) => createElement(LoadingChatView, { load, renders }))

const stateOf = ({ messages }: RivuletChat) => (messages.at(-1) as Answer | undefined)?.state

describe('useRivuletChat()', () => {
  it('renders the answer as it grows, token by token', async () => {
    const { renders, text, chat } = showChat(engine)
    await (await chat()).send(question)
    await vi.waitFor(() => expect(text()).toBe(reference), patience)
    const texts = [...new Set(renders.map(({ messages }) => messages[1]?.text ?? ''))]
    expect(texts.length).toBeGreaterThan(15)
    for (const [index, grown] of texts.slice(1).entries()) expect(grown.startsWith(texts[index]!)).toBe(true)
    expect(stateOf(renders.at(-1)!)).toMatchObject({
      kind: 'finished',
      finishReason: 'length',
      usage: { completionTokens: 24 },
    })
  })

  it('stops, and shows the text so far', async () => {
    const { renders, text, chat } = showChat(engine)
    const { send, stop } = await chat()
    void send(question, long)
    await vi.waitFor(() => expect(text()).not.toBe(''), { ...patience, interval: 1 })
    await stop()
    await vi.waitFor(() => expect(renders.at(-1)!.status.kind).toBe('ready'))
    expect(stateOf(renders.at(-1)!)).toMatchObject({ kind: 'finished', finishReason: 'cancelled' })
    expect(text()).toBe(renders.at(-1)!.messages[1]!.text)
    expect(text()).not.toBe('')
  })

  it('stops the answer when its component unmounts; the engine takes the next request', async () => {
    const { text, chat } = showChat(engine)
    const answer = (await chat()).send(question, long)
    await vi.waitFor(() => expect(text()).not.toBe(''), { ...patience, interval: 1 })
    root!.unmount()
    expect((await answer).state).toMatchObject({ finishReason: 'cancelled' })
    expect(await engine.generate([{ role: 'user', content: question }], greedy).text()).toBe(reference)
  })

  it('shows an error', async () => {
    const disposed = await loadEngine()
    await disposed.dispose()
    const { renders, chat } = showChat(disposed)
    await (await chat()).send(question)
    await vi.waitFor(() => {
      expect(renders.at(-1)!.status).toMatchObject({ kind: 'failed', error: { code: 'engine-disposed' } })
    })
    expect(stateOf(renders.at(-1)!)).toMatchObject({ kind: 'failed', error: { code: 'engine-disposed' } })
  })
})

describe('useRivuletEngine()', () => {
  it('loads one engine, also in strict mode, for which the chat waits; both end with the component', async () => {
    const loaded: Promise<Engine>[] = []
    const load = (signal?: AbortSignal) => {
      loaded.push(loadEngine(signal))
      return loaded.at(-1)!
    }
    const { renders, text, chat } = showLoadingChat(load)
    const { send } = await chat()
    expect(renders[0]!.status).toEqual({ kind: 'loading' })
    await vi.waitFor(() => expect(renders.at(-1)!.status).toEqual({ kind: 'ready' }), patience)
    await send(question)
    await vi.waitFor(() => expect(text()).toBe(reference), patience)
    expect(loaded).toHaveLength(1)
    const loadedEngine = await loaded[0]!
    root!.unmount()
    await vi.waitFor(() =>
      expect(() => loadedEngine.generate('Hello')).toThrow(
        expect.objectContaining({ code: 'engine-disposed' }),
      ),
    )
  }, 60_000)

  it('disposes the engine of a hidden component, and loads it again with the same chat when it is shown', async () => {
    const loaded: Promise<Engine>[] = []
    const load = (signal?: AbortSignal) => {
      loaded.push(loadEngine(signal))
      return loaded.at(-1)!
    }
    const { renders, render, chat } = showLoadingChat(load)
    // On a busy machine, strict mode may unmount the component only now, which would stop an answer.
    await vi.waitFor(() => expect(renders.at(-1)?.status).toEqual({ kind: 'ready' }), patience)
    await (await chat()).send(question)
    render('hidden')
    const first = await loaded[0]!
    await vi.waitFor(() => expect(() => first.generate('Hello')).toThrow('disposed'))
    render('visible')
    await vi.waitFor(() => expect(loaded).toHaveLength(2))
    await loaded[1]
    await renders.at(-1)!.regenerate()
    await vi.waitFor(() => expect(renders.at(-1)!.messages[1]?.text).toBe(reference), patience)
    expect(renders.at(-1)!.messages).toHaveLength(2)
    const continued = await renders.at(-1)!.continue({ maxTokens: 2 })
    expect(continued.text.startsWith(reference)).toBe(true)
    await vi.waitFor(() => expect(renders.at(-1)!.messages[1]).toBe(continued))
  }, 60_000)

  it('cancels loading when its component unmounts', async () => {
    const outcomes: Promise<unknown>[] = []
    const load = (signal?: AbortSignal) => {
      const loading = loadEngine(signal)
      outcomes.push(
        loading.then(
          () => 'loaded',
          (error: Error) => error.name,
        ),
      )
      return loading
    }
    showLoadingChat(load)
    await vi.waitFor(() => expect(outcomes).toHaveLength(1))
    root!.unmount()
    expect(await outcomes[0]).toBe('AbortError')
  })

  it('shows why the engine could not be loaded', async () => {
    const load = () =>
      createEngine({ backend: onnx({ device: 'wasm', worker: createWorker }), model: '/nowhere/' })
    const { renders } = showLoadingChat(load)
    await vi.waitFor(() => {
      expect(renders.at(-1)?.status).toMatchObject({ kind: 'failed', error: { code: 'model-not-found' } })
    }, patience)
  })
})

/** The tests below use a scripted engine: no worker and no model. */
function showOptions(first: ChatOptions) {
  let chat: RivuletChat | undefined
  function View(options: ChatOptions) {
    chat = useRivuletChat(options)
    return null
  }
  root = createRoot(document.createElement('div'))
  const render = async (options: ChatOptions) => {
    flushSync(() => root!.render(createElement(StrictMode, {}, createElement(View, options))))
    // Effects run after the render.
    await new Promise((resolve) => setTimeout(resolve))
    return chat!
  }
  return { first: render(first), render }
}

describe('useRivuletChat() with other options in a later render (scripted engine)', () => {
  it('uses them from the next answer on', async () => {
    const scripted = createScriptedEngine(() => ({ words: ['Hi'] }))
    const { first, render } = showOptions({ engine: scripted, system: '', sampling: { maxTokens: 9 } })
    await (await first).send('Hello')
    const chat = await render({ engine: scripted, system: 'Rhyme.', sampling: { topK: 1 } })
    await chat.send('Again')
    const [before, after] = scripted.requests
    expect(before).toMatchObject({ prompt: [{ role: 'user', content: 'Hello' }], options: { maxTokens: 9 } })
    expect(after!.prompt).toContainEqual({ role: 'system', content: 'Rhyme.' })
    expect(after!.options).toMatchObject({ topK: 1 })
    expect(after!.options).not.toHaveProperty('maxTokens')
  })

  it('has the tools of the latest render', async () => {
    const scripted = createScriptedEngine(() => ({ words: ['Hi'] }))
    const tool = (name: string) => ({ name, parameters: { type: 'object' }, run: () => 1 })
    const { first, render } = showOptions({ engine: scripted, tools: [tool('add')] })
    await (await first).send('Hello')
    const chat = await render({ engine: scripted, tools: [tool('add'), tool('divide')] })
    await chat.send('Again')
    const names = scripted.requests.map(({ options }) => options.tools?.map(({ name }) => name))
    expect(names).toEqual([['add'], ['add', 'divide']])
  })
})

describe('useRivuletEngine() with other dependencies in a later render (scripted engine)', () => {
  type Load = Parameters<typeof useRivuletEngine>[0]

  function showEngine(load: (model: string) => Load) {
    let state: RivuletEngine | undefined
    function View({ model }: { model: string }) {
      state = useRivuletEngine(load(model), [model])
      return null
    }
    root = createRoot(document.createElement('div'))
    const render = (model: string) =>
      flushSync(() => root!.render(createElement(StrictMode, {}, createElement(View, { model }))))
    return { render, state: () => state! }
  }

  it('disposes the engine and loads another one', async () => {
    const engines: { model: string; isDisposed: boolean }[] = []
    const { render } = showEngine((model) => async () => {
      const scripted = createScriptedEngine(() => ({ words: [] }))
      const seen = { model, isDisposed: false }
      engines.push(seen)
      return { ...scripted, dispose: async () => void (seen.isDisposed = true) }
    })
    render('first')
    await vi.waitFor(() => expect(engines).toEqual([{ model: 'first', isDisposed: false }]))
    render('first')
    render('second')
    await vi.waitFor(() =>
      expect(engines).toEqual([
        { model: 'first', isDisposed: true },
        { model: 'second', isDisposed: false },
      ]),
    )
    root!.unmount()
    await vi.waitFor(() => expect(engines[1]!.isDisposed).toBe(true))
  })

  it('reports the progress and the error of a load, and loads again on retry()', async () => {
    const scripted = createScriptedEngine(() => ({ words: [] }))
    let loads = 0
    const { render, state } = showEngine(() => async ({ onProgress }) => {
      loads += 1
      onProgress({ ...halfLoaded, fraction: loads / 10 })
      if (loads === 1) throw new RivuletError('download-failed', 'No network.')
      return scripted
    })
    render('model')
    state().retry()
    await vi.waitFor(() => expect(state().error).toMatchObject({ code: 'download-failed' }))
    expect(state().progress).toMatchObject({ phase: 'download', fraction: 0.1 })
    expect(loads).toBe(1)
    state().retry()
    await vi.waitFor(() => expect(state()).toMatchObject({ error: undefined, progress: { fraction: 0.2 } }))
    expect(await state().engine).toBe(scripted)
    state().retry()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(loads).toBe(2)
  })
})

const halfLoaded = {
  phase: 'download',
  file: undefined,
  files: [],
  loadedBytes: 1,
  totalBytes: 2,
  bytesPerSecond: undefined,
  remainingMs: undefined,
} as const
